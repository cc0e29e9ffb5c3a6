import {
  type Clock,
  type Delivery,
  MessagingError,
  type Outcome,
  type Settlement,
  type Subscription,
  type SubscriptionRequest,
} from '@waybill/core/driver'
import { done, failed } from '@waybill/core/driver-kit'
import { atMost } from '../client/client.ts'
import { type FetchedBatch, GroupMember } from '../client/group-member.ts'
import { toDriverError } from '../errors.ts'
import type { KafkaSettings } from '../options.ts'
import type { Publisher } from '../sending/publisher.ts'
import { Committer } from '../settling/committer.ts'
import { Copies, type CopiesOptions } from '../settling/copies.ts'
import type { KafkaDelivery, Partition, Waiting } from '../settling/partition.ts'
import { Rotation } from '../settling/rotation.ts'
import { unlessAborted } from '../settling/unless-aborted.ts'
import { VerdictCopies } from '../settling/verdict-copies.ts'
import type { GroupNames } from '../wire/names.ts'
import { Handover, type Legacy, lastCommitTimeoutMs } from './handover.ts'
import { Intake } from './intake.ts'
import { Ownership, type OwnershipOptions } from './ownership.ts'
import { ReadyMessages } from './ready-messages.ts'

export interface SubscriptionContext {
  readonly settings: KafkaSettings
  readonly clock: Clock
  readonly publisher: Publisher
  readonly names: GroupNames
  readonly groupId: string
  /** Unique to the subscription. */
  readonly instance: string
  /** The same for all of this process. */
  readonly holder: string
  readonly legacy: Legacy
  readonly logsOf: OwnershipOptions['logsOf']
  readonly makeRoom: CopiesOptions['makeRoom']
  /** Checks now and then whether one of these topics was recreated. */
  readonly hasChanged: (topicIds: ReadonlyMap<string, string | undefined>) => Promise<boolean>
  readonly warn: (message: string) => void
  readonly onClosed: () => Promise<void>
}

function isKafkaDelivery(delivery: Delivery): delivery is KafkaDelivery {
  return 'waiting' in delivery
}

/** A settlement whose verdict asks for a copy. */
interface CopiedSettlement {
  readonly index: number
  readonly delivery: KafkaDelivery
  readonly retry?: { readonly headers: Readonly<Record<string, string>>; readonly dueAt: number }
}

/** How long what could not be dead-lettered waits, given back, until it is handled again. */
const givenBackMs = 5000

/** How many of the latest warnings `health()` tells. */
const keptWarnings = 10

export class KafkaSubscription implements Subscription {
  readonly leaseMs = undefined
  readonly #request: SubscriptionRequest
  readonly #context: SubscriptionContext
  readonly #member: GroupMember
  readonly #committer: Committer
  readonly #copies: Copies
  readonly #verdictCopies: VerdictCopies
  readonly #ownership: Ownership
  readonly #ready = new ReadyMessages()
  readonly #intake: Intake
  readonly #handover: Handover
  readonly #firstAssigned = Promise.withResolvers<void>()
  readonly #warnings: { readonly at: string; readonly message: string }[] = []
  #cancelWatch: (() => void) | undefined
  #wakeReceiver: (() => void) | undefined
  #failure: Error | undefined
  #onLost: ((deliveries: readonly Delivery[]) => void) | undefined
  #closing: Promise<void> | undefined

  constructor(request: SubscriptionRequest, context: SubscriptionContext) {
    this.#request = request
    this.#context = context
    const { settings, clock, groupId, instance, names, publisher, legacy, holder, logsOf, makeRoom } = context
    const { broadcast } = request
    this.#firstAssigned.promise.catch(() => {})
    const own = broadcast ? [] : [names.retry, names.delay]
    const warn = (message: string) => this.#warn(message)
    this.#member = new GroupMember(
      { settings, instance, groupId, topics: [names.main, ...own], strays: legacy.strays, warn },
      {
        leaving: (silentMs) => this.#leave(silentMs),
        joined: (assignment, membership) => this.#handover.take(assignment, membership),
        batch: (batch) => this.#takeBatch(batch),
        nothing: (topic, index, from, to) => this.#skip(topic, index, from, to),
        outOfRange: () => this.#handover.renew(),
        fetchWaitMs: () => this.#intake.fetchWaitMs,
        failed: (error) => this.#fail(error),
      },
    )
    this.#committer = new Committer({
      clock,
      intervalMs: settings.commitInterval,
      send: (topics, membership) => this.#member.commit(topics, membership),
      onCommitted: () => this.#wake(),
      onRefused: (error) => this.#warn(`the broker refuses commits: ${error.message}`),
    })
    const rotation = new Rotation({
      count: () => this.#member.partitionCount(names.retry),
      isOurs: (index) => this.#ownership.find(names.retry, index) !== undefined,
    })
    this.#copies = new Copies({
      publisher,
      names,
      clock,
      settings,
      rotation: request.topic.ordered ? undefined : rotation,
      underWay: legacy.copies,
      makeRoom,
    })
    this.#verdictCopies = new VerdictCopies(clock)
    this.#ownership = new Ownership({ request, names, holder, carried: legacy.commits, logsOf })
    this.#intake = new Intake({
      settings,
      clock,
      ready: this.#ready,
      copies: broadcast ? undefined : this.#copies,
      fetching: this.#member,
      onChange: () => this.#onTaken(),
      warn,
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
      warn,
    })
  }

  /** Resolves once the group has given us our share. */
  async open(): Promise<void> {
    try {
      await Promise.all([this.#member.start(), this.#firstAssigned.promise])
      this.#watch()
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

  /** The signal ends the waiting, not the copies that are under way: asked again, they tell how they went. */
  async settle(settlements: readonly Settlement[], signal?: AbortSignal): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = settlements.map(() => done)
    const copied: CopiedSettlement[] = []
    for (const [index, { delivery, verdict }] of settlements.entries()) {
      if (!isKafkaDelivery(delivery) || !isOurs(delivery)) continue
      switch (verdict.kind) {
        case 'ack':
          this.#settle(delivery)
          break
        case 'release':
          this.#giveBack(delivery)
          break
        case 'retry': {
          const { headers } = verdict
          const dueAt = this.#context.clock.now() + verdict.delayMs
          copied.push({ index, delivery, retry: { headers, dueAt } })
          this.#beginRetry(delivery, headers, dueAt)
          break
        }
        case 'dead-letter':
          copied.push({ index, delivery })
          this.#beginDeadLetter(delivery, verdict.headers)
          break
        default:
          verdict satisfies never
      }
    }
    // Before the copies, which may take their time.
    this.#afterSettling()
    if (copied.length === 0) return outcomes
    this.#copies.send()
    await this.#verdictCopies.wait(this.#copies.areWritten, signal)
    let isWritten = false
    for (const { index, delivery, retry } of copied) {
      const copy = retry && this.#intake.hasRoom ? this.#verdictCopies.abandon(delivery) : undefined
      if (retry !== undefined && copy !== undefined) {
        const { headers, dueAt } = retry
        this.#hold(delivery, { ...delivery.waiting, headers, copy }, dueAt)
        continue
      }
      const outcome = this.#verdictCopies.outcomeOf(delivery)
      outcomes[index] = outcome
      if (outcome.ok) isWritten = true
    }
    // A copy beside an uncommitted source is a duplicate if we die; acks only repeat what was done within the interval.
    if (isWritten) await unlessAborted(this.#committer.flush(), signal)
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

  get consumer(): GroupMember['consumer'] {
    return this.#member.consumer
  }

  /** For `health()`. */
  describe(): Readonly<Record<string, unknown>> {
    const { count, current } = this.#committer.refusals
    return {
      topic: this.#request.topic.name,
      group: this.#request.group.name,
      state: this.#handover.state,
      generation: this.#handover.membership?.generation,
      refusedCommits: count,
      ...(current !== undefined && { commitError: current.message }),
      copiesAreWritten: this.#copies.areWritten,
      held: this.#intake.held,
      ready: { main: { ...this.#ready.main }, returning: { ...this.#ready.returning } },
      warnings: [...this.#warnings],
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
    const { partitions } = this.#ownership
    const membership = this.#handover.isOpen ? this.#handover.membership : undefined
    this.#cancelWatch?.()
    this.#handover.close()
    this.#intake.close()
    this.#wake()
    let isCommitted = false
    const given = this.#committer.pause().then(async () => {
      if (membership === undefined) return
      await this.#committer.commit(partitions, membership, 'given up')
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

  #beginRetry(delivery: KafkaDelivery, headers: Readonly<Record<string, string>>, dueAt: number): void {
    this.#verdictCopies.begin(
      delivery,
      () => this.#copies.retry(delivery.waiting, headers, dueAt),
      (outcome) => {
        if (outcome.ok) this.#onWritten(delivery)
        else if (isOurs(delivery) && this.#intake.hasRoom) {
          const reason = `copies cannot be written: ${outcome.error.message}`
          this.#warn(`retries wait in memory, because ${reason}`)
          this.#hold(delivery, { ...delivery.waiting, headers }, dueAt)
          return done
        }
        return outcome
      },
    )
  }

  /** It waits here instead, uncommitted: nothing is lost if we die, and it takes no place in hand. */
  #hold(delivery: KafkaDelivery, waiting: Waiting, until: number): void {
    waiting.partition.inHand.delete(delivery)
    this.#intake.hold(waiting, until)
  }

  #beginDeadLetter(delivery: KafkaDelivery, headers: Readonly<Record<string, string>>): void {
    const { waiting } = delivery
    this.#verdictCopies.begin(
      delivery,
      () => this.#copies.deadLetter(waiting, headers),
      (outcome) => {
        if (outcome.ok) {
          this.#onWritten(delivery)
          return outcome
        }
        // A few stay in hand until they can be written. Many would leave no room for what can be handled.
        const isCrowded = this.#verdictCopies.size * 2 > this.#request.prefetch
        if (!isOurs(delivery) || !isCrowded || !this.#intake.hasRoom) return outcome
        const { headers } = delivery
        this.#hold(delivery, { ...waiting, headers }, this.#context.clock.now() + givenBackMs)
        const reason = `Given back, because dead letters cannot be written: ${outcome.error.message}`
        return failed(new MessagingError('stale', reason, { cause: outcome.error }))
      },
    )
  }

  /** The copy is durable, however late; a retry that is held by then is dropped where it is held. */
  #onWritten(delivery: KafkaDelivery): void {
    if (delivery.waiting.partition.isLost) return
    this.#settle(delivery)
    this.#afterSettling()
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

  #leave(silentMs: number): Promise<void> {
    const { sessionTimeout } = this.#context.settings
    if (this.#handover.isOpen && silentMs > sessionTimeout) {
      const text = `nothing was reported to the group for ${Math.round(silentMs)} ms, so that it gave the partitions away`
      this.#warn(
        `${text}: handlers that run for longer than \`sessionTimeout\` (${sessionTimeout} ms) block the event loop`,
      )
    }
    return this.#handover.leave()
  }

  async #takeBatch(batch: FetchedBatch): Promise<void> {
    // After such a silence others may have handled what a late answer brings. The group knows whether it is ours.
    if (this.#member.silentMs > this.#context.settings.sessionTimeout) await batch.heartbeat()
    if (!this.#handover.isOpen) {
      // Between an assignment and our claim on it; what is not taken is fetched again.
      await atMost(this.#context.settings.fetchWait, this.#handover.opened)
      if (!this.#handover.isOpen) return batch.heartbeat()
    }
    // Fetched before the assignment, from wherever that was.
    if (batch.isStale()) return
    const partition = this.#ownership.find(batch.topic, batch.partition)
    if (partition !== undefined) this.#intake.take(partition, batch)
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

  /** A topic that is recreated need not fail a single fetch, so it is checked now and then. */
  #watch(): void {
    const { clock, settings, hasChanged } = this.#context
    this.#cancelWatch = clock.after(
      settings.metadataInterval,
      async () => {
        try {
          const ids = this.#ownership.partitions.map(
            ({ topic, offsets }) => [topic, offsets.topicId] as const,
          )
          if (this.#handover.isOpen && (await hasChanged(new Map(ids)))) this.#handover.renew()
        } catch {
          // Next time; what is wrong with the connection shows elsewhere.
        }
        if (this.#closing === undefined && this.#failure === undefined) this.#watch()
      },
      { background: true },
    )
  }

  #warn(message: string): void {
    const { topic, group } = this.#request
    if (this.#warnings.at(-1)?.message === message) return
    this.#warnings.push({ at: new Date().toISOString(), message })
    if (this.#warnings.length > keptWarnings) this.#warnings.shift()
    this.#context.warn(`Group ${group.name} of topic ${topic.name}: ${message}`)
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
