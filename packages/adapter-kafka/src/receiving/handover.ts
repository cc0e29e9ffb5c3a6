import { toError } from '@waybill/core/driver'
import { atMost } from '../client/client.ts'
import { brokerErrorOf } from '../errors.ts'
import type { Committer } from '../settling/committer.ts'
import type { Partition } from '../settling/partition.ts'
import type { Intake } from './intake.ts'
import type { Assignment, Member } from './member.ts'
import type { CarriedCommit, Ownership } from './ownership.ts'
import type { ReadyMessages } from './ready-messages.ts'

/** What the subscriptions of this process to a group leave to each other. */
export interface Legacy {
  /** By `topic/partition`. */
  readonly commits: Map<string, CarriedCommit>
  /** Members that could not leave the group. */
  readonly strays: Set<string>
  /** Copies under way. */
  readonly copies: Set<Promise<unknown>>
}

export interface HandoverParts {
  readonly member: Member
  readonly committer: Committer
  readonly ownership: Ownership
  readonly ready: ReadyMessages
  readonly intake: Intake
  readonly legacy: Legacy
  /** Partitions that went to somebody else, with what is in hand of them. */
  readonly onLost: (partitions: readonly Partition[]) => void
  readonly onOpen: () => void
  readonly onFailed: (error: Error) => void
}

/** How long our last commit may hold up the group, or the end of a subscription. */
export const lastCommitTimeoutMs = 3000

/** How long a rebalance is held up for what is in hand: enough for quick handlers, and the group hardly feels it. */
const drainTimeoutMs = 1000

/** A copy that failed for want of a broker is tried again every second. */
const copiesTimeoutMs = 3000

/** Answers to commits and reads of a member whose generation is over; it is about to join again. */
const rejoining = ['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID']

/** How partitions come to a member and leave it. It is open while they are ours, known and claimed. */
export class Handover {
  readonly #parts: HandoverParts
  /** Counts assignments, so that the work of an outdated one stops. */
  #assignments = 0
  #isOpen = false
  #isClosed = false
  #whenOpen: PromiseWithResolvers<void> = Promise.withResolvers()
  /** While somebody waits for what is in hand to end. */
  #onSettled: (() => void) | undefined
  #revoked: Promise<void> = Promise.resolve()

  constructor(parts: HandoverParts) {
    this.#parts = parts
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Resolves when it is open. */
  get opened(): Promise<void> {
    return this.#whenOpen.promise
  }

  /** Tells that something in hand has ended. */
  settled(): void {
    this.#onSettled?.()
  }

  /** Resolves when the group may go on without us having settled more, or must. */
  revoking(): Promise<void> {
    this.#shut()
    this.#assignments += 1
    this.#revoked = this.#giveUp().catch(() => {})
    return atMost(drainTimeoutMs + lastCommitTimeoutMs, this.#revoked)
  }

  assigned(assignment: Assignment): void {
    this.#shut()
    this.#assignments += 1
    const number = this.#assignments
    void this.#takeOver(assignment, number).catch((error: unknown) => {
      if (number !== this.#assignments || rejoining.includes(brokerErrorOf(error) ?? '')) return
      this.#parts.onFailed(toError(error))
    })
  }

  close(): void {
    this.#isClosed = true
    this.#isOpen = false
  }

  #shut(): void {
    if (this.#isOpen) this.#whenOpen = Promise.withResolvers()
    this.#isOpen = false
  }

  /** What ends now need not be handled again by the next owner. */
  async #giveUp(): Promise<void> {
    const { committer, ownership } = this.#parts
    const { partitions } = ownership
    const drained = Promise.withResolvers<void>()
    this.#onSettled = () => {
      if (partitions.every(({ inHand }) => inHand.size === 0)) drained.resolve()
    }
    this.#onSettled()
    await atMost(drainTimeoutMs, drained.promise)
    this.#onSettled = undefined
    await committer.pause()
    await committer.commit(partitions, 'given up')
  }

  async #takeOver(assignment: Assignment, number: number): Promise<void> {
    const { member, committer, ownership, ready, intake, legacy, onLost, onOpen } = this.#parts
    await this.#revoked
    await committer.pause()
    // What a predecessor was copying when its connection went is on its way still, and would be copied once more.
    if (legacy.commits.size > 0) await atMost(copiesTimeoutMs, Promise.all(legacy.copies))
    const standings = await ownership.lookUp(assignment, member.coordinator)
    if (this.#isOutdated(number)) return
    const lost = ownership.replace(standings)
    const { partitions } = ownership
    ready.open(partitions)
    intake.open(partitions)
    onLost(lost)
    await committer.commit(partitions, 'held', (topics) => member.claim(topics))
    if (this.#isOutdated(number)) return
    for (const { topic, index, offsets, isPaused } of partitions) {
      // kafkajs starts over at the committed offset, and without one where it pleases; what we have need not come again.
      member.seek(topic, index, offsets.next)
      if (isPaused) member.pause(topic, [index])
      else member.resume(topic, [index])
    }
    this.#isOpen = true
    this.#whenOpen.resolve()
    committer.open(partitions)
    onOpen()
  }

  #isOutdated(number: number): boolean {
    return number !== this.#assignments || this.#isClosed
  }
}
