import {
  type Clock,
  type Delivery,
  type Outcome,
  type Settlement,
  type Subscription,
  type SubscriptionRequest,
  toError,
} from '@waybill/core/driver'
import type { Consumer, EachBatchPayload } from 'kafkajs'
import { atMost } from './client.ts'
import { Committer } from './committer.ts'
import { Copies } from './copies.ts'
import { brokerErrorOf, toDriverError } from './errors.ts'
import { Intake } from './intake.ts'
import { type Assignment, Member } from './member.ts'
import type { GroupNames } from './names.ts'
import type { Settings } from './options.ts'
import { type CarriedCommit, Ownership, type OwnershipOptions } from './ownership.ts'
import type { KafkaDelivery, Partition } from './partition.ts'
import type { Publisher } from './publisher.ts'
import { ReadyMessages } from './ready-messages.ts'

/** What the subscriptions of this process to a group leave to each other. */
export interface Legacy {
  /** By `topic/partition`. */
  readonly commits: Map<string, CarriedCommit>
  /** Members that could not leave the group. */
  readonly strays: Set<string>
  /** Copies under way. */
  readonly copies: Set<Promise<unknown>>
}

export interface SubscriptionContext {
  readonly settings: Settings
  readonly clock: Clock
  readonly publisher: Publisher
  readonly names: GroupNames
  readonly groupId: string
  /** Unique to the subscription. */
  readonly instance: string
  /** The same for all of this process. */
  readonly holder: string
  readonly legacy: Legacy
  readonly offsetsOf: OwnershipOptions['offsetsOf']
  readonly warn: (message: string) => void
  readonly onClosed: () => Promise<void>
}

const closeCommitTimeoutMs = 3000

/** How long a rebalance is held up for what is in hand: enough for quick handlers, and the group hardly feels it. */
const drainTimeoutMs = 1000

/** A copy that failed for want of a broker is tried again every second. */
const legacyTimeoutMs = 3000

/** Answers to commits and reads of a member whose generation is over; it is about to join again. */
const rejoining = ['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID']

function isKafkaDelivery(delivery: Delivery): delivery is KafkaDelivery {
  return 'waiting' in delivery
}

const ok: Outcome = { ok: true }

export class KafkaSubscription implements Subscription {
  readonly leaseMs = undefined
  readonly #request: SubscriptionRequest
  readonly #context: SubscriptionContext
  readonly #member: Member
  readonly #committer: Committer
  readonly #copies: Copies
  readonly #ownership: Ownership
  readonly #ready = new ReadyMessages()
  readonly #intake: Intake
  /** Counts assignments, so that the work of an outdated one stops. */
  #assignments = 0
  #isOpen = false
  readonly #firstAssigned = Promise.withResolvers<void>()
  #whenOpen: PromiseWithResolvers<void> = Promise.withResolvers()
  #wakeReceiver: (() => void) | undefined
  #failure: Error | undefined
  #onLost: ((deliveries: readonly Delivery[]) => void) | undefined
  #closing: Promise<void> | undefined
  /** While somebody waits for what is in hand to end. */
  #onSettled: (() => void) | undefined

  constructor(request: SubscriptionRequest, context: SubscriptionContext) {
    this.#request = request
    this.#context = context
    const { settings, clock, groupId, instance, names, publisher, legacy, holder, offsetsOf, warn } = context
    const { topic, broadcast } = request
    this.#firstAssigned.promise.catch(() => {})
    const own = broadcast ? [] : [names.retry, names.delay]
    this.#member = new Member(
      {
        settings,
        instance,
        groupId,
        topics: [topic.name, ...own],
        mainCount: topic.partitions,
        strays: legacy.strays,
      },
      {
        revoking: () => this.#revoking(),
        assigned: (assignment) => this.#assigned(assignment),
        batch: (payload) => this.#takeBatch(payload),
        nothing: (topic, index, from, to) => this.#skip(topic, index, from, to),
        failed: (error) => this.#fail(error),
      },
    )
    this.#committer = new Committer({
      clock,
      intervalMs: settings.commitInterval,
      send: (topics) => this.#member.commit(topics),
      onCommitted: () => this.#wake(),
    })
    this.#copies = new Copies(publisher, names, clock, settings, legacy.copies)
    this.#ownership = new Ownership({ request, names, holder, carried: legacy.commits, offsetsOf })
    this.#intake = new Intake({
      settings,
      clock,
      ready: this.#ready,
      copies: broadcast ? undefined : this.#copies,
      fetching: this.#member,
      onChange: () => this.#onTaken(),
      warn: (message) => warn(`Group ${request.group.name} of topic ${topic.name}: ${message}`),
    })
  }

  /** Resolves once the group has given us our share. */
  async open(): Promise<void> {
    try {
      await Promise.all([this.#member.start(), this.#firstAssigned.promise])
    } catch (error) {
      await this.close()
      throw toDriverError(error, `Joining group ${this.#context.groupId} failed`)
    }
  }

  async receive(max: number, signal: AbortSignal): Promise<readonly Delivery[]> {
    this.#ensureWorking()
    const deliveries = this.#take(max)
    if (deliveries.length > 0 || signal.aborted) return deliveries
    await new Promise<void>((resolve) => {
      const wake = () => {
        signal.removeEventListener('abort', wake)
        this.#wakeReceiver = undefined
        resolve()
      }
      this.#wakeReceiver = wake
      signal.addEventListener('abort', wake, { once: true })
    })
    this.#ensureWorking()
    return this.#take(max)
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = settlements.map(() => ok)
    const copied: { readonly index: number; readonly delivery: KafkaDelivery }[] = []
    const copies: Promise<Outcome>[] = []
    for (const [index, { delivery, verdict }] of settlements.entries()) {
      if (!isKafkaDelivery(delivery) || !isOurs(delivery)) continue
      switch (verdict.kind) {
        case 'ack':
          this.#settle(delivery)
          break
        case 'release':
          this.#giveBack(delivery)
          break
        case 'retry':
          copied.push({ index, delivery })
          copies.push(
            this.#copies.retry(delivery, verdict.headers, this.#context.clock.now() + verdict.delayMs),
          )
          break
        case 'dead-letter':
          copied.push({ index, delivery })
          copies.push(this.#copies.deadLetter(delivery, verdict.headers))
          break
        default:
          verdict satisfies never
      }
    }
    this.#copies.send()
    for (const [position, outcome] of (await Promise.all(copies)).entries()) {
      const each = copied[position]
      if (each === undefined) continue
      outcomes[each.index] = outcome
      if (outcome.ok && isOurs(each.delivery)) this.#settle(each.delivery)
    }
    // A copy beside an uncommitted source is a duplicate if we die; acks only repeat what was done within the interval.
    if (copies.length > 0) await this.#committer.flush()
    this.#afterSettling()
    return outcomes
  }

  async extend(): Promise<void> {}

  onLost(listener: (deliveries: readonly Delivery[]) => void): void {
    this.#onLost = listener
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  get consumer(): Consumer {
    return this.#member.consumer
  }

  /** For `health()`. */
  describe(): Readonly<Record<string, unknown>> {
    return {
      topic: this.#request.topic.name,
      group: this.#request.group.name,
      partitions: this.#ownership.partitions.map(({ topic, index, offsets, committed, inHand }) => ({
        topic,
        partition: index,
        committed: committed?.offset,
        settledUpTo: String(offsets.watermark),
        inFlight: inHand.size,
      })),
    }
  }

  async #close(): Promise<void> {
    this.#isOpen = false
    this.#intake.close()
    this.#wake()
    let isCommitted = false
    const given = this.#committer.pause().then(async () => {
      await this.#committer.commit(this.#ownership.partitions, 'given up')
      isCommitted = true
    })
    await atMost(closeCommitTimeoutMs, given)
    if (!isCommitted) this.#ownership.carryOver()
    await this.#member.close()
    await this.#context.onClosed()
  }

  #ensureWorking(): void {
    if (this.#failure !== undefined) {
      throw toDriverError(this.#failure, `The consumer of group ${this.#context.groupId} ended`)
    }
  }

  #take(max: number): KafkaDelivery[] {
    if (!this.#isOpen) return []
    const deliveries = this.#ready.take(max)
    if (deliveries.length > 0) this.#intake.regulate()
    return deliveries
  }

  #settle(delivery: KafkaDelivery): void {
    const { partition, offset } = delivery.waiting
    partition.inHand.delete(delivery)
    partition.offsets.settle(offset)
  }

  #giveBack(delivery: KafkaDelivery): void {
    delivery.waiting.partition.inHand.delete(delivery)
    this.#ready.add(delivery.waiting, true)
  }

  #afterSettling(): void {
    this.#onSettled?.()
    const careful = this.#ownership.partitions.some(({ offsets }) => offsets.careful)
    this.#committer.wake(careful)
    if (!this.#ready.isEmpty) this.#wake()
  }

  #wake(): void {
    this.#wakeReceiver?.()
  }

  async #takeBatch({ batch, resolveOffset, heartbeat, isStale }: EachBatchPayload): Promise<void> {
    if (!this.#isOpen) {
      // Between an assignment and our claim on it; what is not taken is fetched again.
      await atMost(this.#context.settings.fetchWait, this.#whenOpen.promise)
      if (!this.#isOpen) return heartbeat()
    }
    // Fetched before the assignment, from wherever that was.
    if (isStale()) return
    const partition = this.#ownership.find(batch.topic, batch.partition)
    if (partition !== undefined) this.#intake.take(partition, batch, resolveOffset)
  }

  /** Nothing but records that are none of ours: transaction markers, and what was aborted. */
  #skip(topic: string, index: number, from: number, to: number): void {
    const partition = this.#isOpen ? this.#ownership.find(topic, index) : undefined
    if (partition?.offsets.next !== from) return
    partition.offsets.skipTo(to)
    this.#committer.wake()
  }

  #onTaken(): void {
    if (this.#ownership.partitions.some(({ offsets }) => offsets.dirty)) this.#committer.wake()
    this.#wake()
  }

  /** Resolves when the group may go on without us having settled more, or must. */
  #revoking(): Promise<void> {
    this.#shut()
    this.#assignments += 1
    this.#revoked = this.#giveUp().catch(() => {})
    return atMost(drainTimeoutMs + closeCommitTimeoutMs, this.#revoked)
  }

  /** What ends now need not be handled again by the next owner. */
  async #giveUp(): Promise<void> {
    const { partitions } = this.#ownership
    const drained = Promise.withResolvers<void>()
    this.#onSettled = () => {
      if (partitions.every(({ inHand }) => inHand.size === 0)) drained.resolve()
    }
    this.#onSettled()
    await atMost(drainTimeoutMs, drained.promise)
    this.#onSettled = undefined
    await this.#committer.pause()
    await this.#committer.commit(partitions, 'given up')
  }

  #revoked: Promise<void> = Promise.resolve()

  #shut(): void {
    if (this.#isOpen) this.#whenOpen = Promise.withResolvers()
    this.#isOpen = false
  }

  #assigned(assignment: Assignment): void {
    this.#shut()
    this.#assignments += 1
    const number = this.#assignments
    void this.#takeOver(assignment, number).catch((error: unknown) => {
      if (number !== this.#assignments || rejoining.includes(brokerErrorOf(error) ?? '')) return
      this.#fail(toError(error))
    })
  }

  async #takeOver(assignment: Assignment, number: number): Promise<void> {
    await this.#revoked
    await this.#committer.pause()
    // What a predecessor was copying when its connection went is on its way still, and would be copied once more.
    const { commits, copies } = this.#context.legacy
    if (commits.size > 0) await atMost(legacyTimeoutMs, Promise.all(copies))
    const standings = await this.#ownership.lookUp(assignment, this.#member.coordinator)
    if (number !== this.#assignments || this.#closing !== undefined) return
    const lost = this.#ownership.replace(standings)
    const { partitions } = this.#ownership
    this.#ready.open(partitions)
    this.#intake.open(partitions)
    this.#reportLost(lost)
    await this.#committer.commit(partitions, 'held', (topics) => this.#member.claim(topics))
    if (number !== this.#assignments || this.#closing !== undefined) return
    for (const { topic, index, offsets, isPaused } of partitions) {
      // kafkajs starts over at the committed offset, and without one where it pleases; what we have need not come again.
      this.#member.seek(topic, index, offsets.next)
      if (isPaused) this.#member.pause(topic, [index])
      else this.#member.resume(topic, [index])
    }
    this.#isOpen = true
    this.#whenOpen.resolve()
    this.#firstAssigned.resolve()
    this.#committer.open(partitions)
    this.#wake()
  }

  #reportLost(partitions: readonly Partition[]): void {
    const deliveries = partitions.flatMap(({ inHand }) => [...inHand])
    if (deliveries.length > 0) this.#onLost?.(deliveries)
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#firstAssigned.reject(error)
    this.#wake()
  }
}

function isOurs(delivery: KafkaDelivery): boolean {
  const { partition } = delivery.waiting
  return !partition.isLost && partition.inHand.has(delivery)
}
