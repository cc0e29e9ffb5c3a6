import type {
  Clock,
  Delivery,
  Outcome,
  Settlement,
  Subscription,
  SubscriptionRequest,
} from '@waybill/core/driver'
import type { Consumer, EachBatchPayload } from 'kafkajs'
import { atMost } from '../client/client.ts'
import { toDriverError } from '../errors.ts'
import type { Settings } from '../options.ts'
import type { Publisher } from '../sending/publisher.ts'
import { Committer } from '../settling/committer.ts'
import { Copies } from '../settling/copies.ts'
import type { KafkaDelivery, Partition } from '../settling/partition.ts'
import type { GroupNames } from '../wire/names.ts'
import { Handover, type Legacy, lastCommitTimeoutMs } from './handover.ts'
import { Intake } from './intake.ts'
import { Member } from './member.ts'
import { Ownership, type OwnershipOptions } from './ownership.ts'
import { ReadyMessages } from './ready-messages.ts'

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
  readonly #handover: Handover
  readonly #firstAssigned = Promise.withResolvers<void>()
  #wakeReceiver: (() => void) | undefined
  #failure: Error | undefined
  #onLost: ((deliveries: readonly Delivery[]) => void) | undefined
  #closing: Promise<void> | undefined

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
        revoking: () => this.#handover.revoking(),
        assigned: (assignment) => this.#handover.assigned(assignment),
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
    this.#handover = new Handover({
      member: this.#member,
      committer: this.#committer,
      ownership: this.#ownership,
      ready: this.#ready,
      intake: this.#intake,
      legacy,
      onLost: (partitions) => this.#reportLost(partitions),
      onOpen: () => {
        this.#firstAssigned.resolve()
        this.#wake()
      },
      onFailed: (error) => this.#fail(error),
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
    this.#handover.close()
    this.#intake.close()
    this.#wake()
    let isCommitted = false
    const given = this.#committer.pause().then(async () => {
      await this.#committer.commit(this.#ownership.partitions, 'given up')
      isCommitted = true
    })
    await atMost(lastCommitTimeoutMs, given)
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
    if (!this.#handover.isOpen) return []
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
    this.#handover.settled()
    const careful = this.#ownership.partitions.some(({ offsets }) => offsets.careful)
    this.#committer.wake(careful)
    if (!this.#ready.isEmpty) this.#wake()
  }

  #wake(): void {
    this.#wakeReceiver?.()
  }

  async #takeBatch({ batch, resolveOffset, heartbeat, isStale }: EachBatchPayload): Promise<void> {
    if (!this.#handover.isOpen) {
      // Between an assignment and our claim on it; what is not taken is fetched again.
      await atMost(this.#context.settings.fetchWait, this.#handover.opened)
      if (!this.#handover.isOpen) return heartbeat()
    }
    // Fetched before the assignment, from wherever that was.
    if (isStale()) return
    const partition = this.#ownership.find(batch.topic, batch.partition)
    if (partition !== undefined) this.#intake.take(partition, batch, resolveOffset)
  }

  /** Nothing but records that are none of ours: transaction markers, and what was aborted. */
  #skip(topic: string, index: number, from: number, to: number): void {
    const partition = this.#handover.isOpen ? this.#ownership.find(topic, index) : undefined
    if (partition?.offsets.next !== from) return
    partition.offsets.skipTo(to)
    this.#committer.wake()
  }

  #onTaken(): void {
    if (this.#ownership.partitions.some(({ offsets }) => offsets.dirty)) this.#committer.wake()
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
