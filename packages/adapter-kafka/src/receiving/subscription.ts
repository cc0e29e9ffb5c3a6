import type {
  Clock,
  Delivery,
  HandoverListener,
  Outcome,
  Settlement,
  Subscription,
  SubscriptionRequest,
} from '@waybill/core/driver'
import { atMost } from '../client/client.ts'
import { type FetchedBatch, GroupMember } from '../client/group-member.ts'
import { toDriverError } from '../errors.ts'
import type { KafkaSettings } from '../options.ts'
import type { Publisher } from '../sending/publisher.ts'
import { Committer } from '../settling/committer.ts'
import { Copies, type CopiesOptions } from '../settling/copies.ts'
import type { KafkaDelivery, Partition } from '../settling/partition.ts'
import { Rotation } from '../settling/rotation.ts'
import { Settler } from '../settling/settler.ts'
import type { GroupNames } from '../wire/names.ts'
import { Handover, type Legacy, lastCommitTimeoutMs } from './handover.ts'
import { Intake } from './intake.ts'
import { Ownership, type OwnershipOptions } from './ownership.ts'
import { ReadyMessages } from './ready-messages.ts'
import { Warnings } from './warnings.ts'

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

export class KafkaSubscription implements Subscription {
  readonly leaseMs = undefined
  readonly #request: SubscriptionRequest
  readonly #context: SubscriptionContext
  readonly #member: GroupMember
  readonly #committer: Committer
  readonly #copies: Copies
  readonly #settler: Settler
  readonly #ownership: Ownership
  readonly #ready = new ReadyMessages()
  readonly #intake: Intake
  readonly #handover: Handover
  readonly #firstAssigned = Promise.withResolvers<void>()
  readonly #warnings: Warnings
  #cancelWatch: (() => void) | undefined
  #wakeReceiver: (() => void) | undefined
  #failure: Error | undefined
  #onLost: ((deliveries: readonly Delivery[]) => void) | undefined
  #onHandover: HandoverListener | undefined
  #closing: Promise<void> | undefined

  constructor(request: SubscriptionRequest, context: SubscriptionContext) {
    this.#request = request
    this.#context = context
    const { settings, clock, groupId, instance, names, publisher, legacy, holder, logsOf, makeRoom } = context
    const { broadcast } = request
    this.#firstAssigned.promise.catch(() => {})
    this.#warnings = new Warnings((message) =>
      context.warn(`Group ${request.group.name} of topic ${request.topic.name}: ${message}`),
    )
    const own = broadcast ? [] : [names.retry, names.delay]
    const warn = (message: string) => this.#warnings.add(message)
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
      onRefused: (error) => warn(`the broker refuses commits: ${error.message}`),
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
    this.#settler = new Settler({
      clock,
      prefetch: request.prefetch,
      copies: this.#copies,
      committer: this.#committer,
      holding: this.#intake,
      onReleased: (waiting) => this.#ready.add(waiting, true),
      onSettled: () => this.#afterSettling(),
      warn,
    })
    this.#handover = new Handover({
      member: this.#member,
      committer: this.#committer,
      ownership: this.#ownership,
      ready: this.#ready,
      intake: this.#intake,
      legacy,
      giveBack: (deliveries) => this.#onHandover?.(deliveries, { keepsBackoffs: true }),
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

  settle(settlements: readonly Settlement[], signal?: AbortSignal): Promise<readonly Outcome[]> {
    return this.#settler.settle(settlements, signal)
  }

  async extend(): Promise<void> {}

  onLost(listener: (deliveries: readonly Delivery[]) => void): void {
    this.#onLost = listener
  }

  onHandover(listener: HandoverListener): void {
    this.#onHandover = listener
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
      warnings: this.#warnings.list(),
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
      const text = `nothing was reported to the group for ${Math.round(silentMs)} ms, so its partitions were reassigned`
      this.#warnings.add(
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

  #fail(error: Error): void {
    this.#failure ??= error
    this.#firstAssigned.reject(error)
    this.#wake()
  }
}
