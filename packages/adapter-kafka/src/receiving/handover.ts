import { toError } from '@waybill/core/driver'
import { atMost } from '../client/client.ts'
import type { Membership } from '../client/group-coordinator.ts'
import type { Assignment, GroupMember } from '../client/group-member.ts'
import { type Committer, isGenerationOver } from '../settling/committer.ts'
import type { KafkaDelivery, Partition } from '../settling/partition.ts'
import type { Intake } from './intake.ts'
import type { CarriedCommit, Ownership } from './ownership.ts'
import type { ReadyMessages } from './ready-messages.ts'

/** What subscriptions of this process to one group hand on to the next. */
export interface Legacy {
  /** By `topic/partition`. */
  readonly commits: Map<string, CarriedCommit>
  /** Members that could not leave the group. */
  readonly strays: Set<string>
  /** Copies being written. */
  readonly copies: Set<Promise<unknown>>
}

export interface HandoverParts {
  readonly member: GroupMember
  readonly committer: Committer
  readonly ownership: Ownership
  readonly ready: ReadyMessages
  readonly intake: Intake
  readonly legacy: Legacy
  /** Asks core to give back what no handler is running. */
  readonly giveBack: (deliveries: readonly KafkaDelivery[]) => void
  /** Partitions that went to somebody else or begin anew, with what is in hand of them. */
  readonly onLost: (partitions: readonly Partition[]) => void
  readonly onOpen: () => void
  readonly onFailed: (error: Error) => void
  readonly warn: (message: string) => void
}

/** How long our last commit may hold up the group, or the end of a subscription. */
export const lastCommitTimeoutMs = 3000

/** How long a rebalance is held up for what is in hand: enough for quick handlers, and the group hardly feels it. */
const drainTimeoutMs = 1000

/** A copy that failed for want of a broker is tried again every second. */
const copiesTimeoutMs = 3000

/**
 * - `joining`: the group has not given us partitions, or is about to divide them anew.
 * - `claiming`: it has; we look up how they were left, and commit where we begin.
 * - `open`: they are ours.
 * - `leaving`: it divides them anew; what is in hand may still end, and is committed.
 * - `closed`: the subscription is over.
 */
export type HandoverState = 'joining' | 'claiming' | 'open' | 'leaving' | 'closed'

/** What the group gave us last. */
interface Given {
  readonly assignment: Assignment
  readonly membership: Membership
}

/**
 * How partitions come to a member and leave it. What holds at any time: messages are handed out only while it is `open`, and
 * it is open only after the broker has taken a commit of ours for every partition in the generation that gave it to us (the
 * claim). From that commit on nobody of an older generation can commit there, and the next owner finds in it that we had
 * the partition. Every commit bears its generation, so that one that comes too late is refused.
 */
export class Handover {
  readonly #parts: HandoverParts
  #state: HandoverState = 'joining'
  #given: Given | undefined
  /** Counts the times that partitions came or went, so that the work of an outdated one stops. */
  #turn = 0
  #whenOpen: PromiseWithResolvers<void> = Promise.withResolvers()
  /** While somebody waits for what is in hand to end. */
  #onSettled: (() => void) | undefined
  #left: Promise<void> = Promise.resolve()

  constructor(parts: HandoverParts) {
    this.#parts = parts
  }

  get state(): HandoverState {
    return this.#state
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** Resolves when it is open. */
  get opened(): Promise<void> {
    return this.#whenOpen.promise
  }

  /** In which the group gave us what it did last. */
  get membership(): Membership | undefined {
    return this.#given?.membership
  }

  /** Tells that something in hand has ended. */
  settled(): void {
    this.#onSettled?.()
  }

  /** The group rebalances. Resolves when we have settled enough for it to continue, or the time is over. */
  leave(): Promise<void> {
    if (this.#state === 'open' && this.#given !== undefined) {
      this.#left = this.#giveUp(this.#given.membership).catch(() => {})
      this.#enter('leaving')
    } else if (this.#state === 'claiming') this.#enter('joining')
    return atMost(drainTimeoutMs + lastCommitTimeoutMs, this.#left)
  }

  /** The group has given us partitions. */
  take(assignment: Assignment, membership: Membership): void {
    if (this.#state === 'closed') return
    this.#given = { assignment, membership }
    this.#claim(this.#given)
  }

  /** What we know of our partitions is outdated: takes over the same ones again. */
  renew(): void {
    if (this.#state === 'open' && this.#given !== undefined) this.#claim(this.#given)
  }

  close(): void {
    this.#enter('closed')
  }

  #enter(state: HandoverState): void {
    if (this.#state === 'open' && state !== 'open') this.#whenOpen = Promise.withResolvers()
    this.#state = state
    if (state === 'open') this.#whenOpen.resolve()
    else this.#turn += 1
  }

  /** What ends now need not be handled again by the next owner. */
  async #giveUp(membership: Membership): Promise<void> {
    const { committer, ownership, giveBack } = this.#parts
    const { partitions } = ownership
    // Or each would begin while the next owner begins with it, too.
    giveBack(partitions.flatMap(({ inHand }) => [...inHand]))
    const drained = Promise.withResolvers<void>()
    this.#onSettled = () => {
      if (partitions.every(({ inHand }) => inHand.size === 0)) drained.resolve()
    }
    this.#onSettled()
    await atMost(drainTimeoutMs, drained.promise)
    this.#onSettled = undefined
    await committer.pause()
    await committer.commit(partitions, membership, 'given up')
  }

  #claim(given: Given): void {
    this.#enter('claiming')
    const turn = this.#turn
    void this.#takeOver(given, turn).catch((error: unknown) => {
      if (turn !== this.#turn || isGenerationOver(error)) return
      this.#parts.onFailed(toError(error))
    })
  }

  async #takeOver({ assignment, membership }: Given, turn: number): Promise<void> {
    const { member, committer, ownership, ready, intake, legacy, onLost, onOpen, warn } = this.#parts
    await this.#left
    await committer.pause()
    // What a predecessor was copying when its connection went is on its way still, and would be copied once more.
    if (legacy.commits.size > 0) await atMost(copiesTimeoutMs, Promise.all(legacy.copies))
    const standings = await ownership.lookUp(assignment, member.coordinator)
    if (turn !== this.#turn) return
    const { lost, warnings } = ownership.replace(standings)
    const { partitions } = ownership
    ready.open(partitions)
    intake.open(partitions)
    onLost(lost)
    for (const warning of warnings) warn(warning)
    await committer.commit(partitions, membership, 'held')
    if (turn !== this.#turn) return
    for (const { topic, index, offsets, isPaused } of partitions) {
      // kafkajs starts again at the committed offset; what we have need not be fetched again.
      member.seek(topic, index, offsets.next)
      if (isPaused) member.pause(topic, [index])
      else member.resume(topic, [index])
    }
    this.#enter('open')
    committer.open(partitions, membership)
    onOpen()
  }
}
