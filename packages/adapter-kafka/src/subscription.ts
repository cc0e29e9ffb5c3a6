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
import { Holding } from './holding.ts'
import { type Assignment, Member } from './member.ts'
import type { GroupNames } from './names.ts'
import { emptyRecord, type OffsetCommit, PartitionOffsets, parseRecord } from './offsets.ts'
import type { Settings } from './options.ts'
import { type KafkaDelivery, Partition, type PartitionKind, type Waiting } from './partition.ts'
import type { Publisher } from './publisher.ts'
import { dueAtOf, moveAtOf } from './wire.ts'

/** What a subscription of this process wanted to commit when its connection was gone. */
export interface CarriedCommit {
  /** What the broker had at the time. */
  readonly committed: OffsetCommit
  readonly wanted: OffsetCommit
}

/** What the subscriptions of this process to a group leave to each other. */
export interface Legacy {
  /** By `topic/partition`. */
  readonly commits: Map<string, CarriedCommit>
  /** Members that could not leave the group. */
  readonly strays: Set<string>
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
  /** Where a partition without a commit starts. */
  readonly startOf: (topic: string, from: 'earliest' | 'latest') => Promise<Map<number, number>>
  readonly onClosed: () => Promise<void>
}

// Fetching stops above these and goes on below two thirds of them, which is enough to bridge the time that a fetch under
// way holds back a partition that is resumed.
const maxReadyMessages = 7500
const maxReadyBytes = 12 * 1024 * 1024
const resumeShare = 2 / 3

const forwardRetryMs = 1000
const closeCommitTimeoutMs = 3000

/** Answers to commits and reads of a member whose generation is over; it is about to join again. */
const rejoining = ['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID']

function isKafkaDelivery(delivery: Delivery): delivery is KafkaDelivery {
  return 'waiting' in delivery
}

function keyOf(topic: string, partition: number): string {
  return `${topic}/${partition}`
}

const ok: Outcome = { ok: true }

export class KafkaSubscription implements Subscription {
  readonly leaseMs = undefined
  readonly #request: SubscriptionRequest
  readonly #context: SubscriptionContext
  readonly #member: Member
  readonly #committer: Committer
  readonly #holding: Holding
  readonly #copies: Copies
  #partitions = new Map<string, Partition>()
  /** The same, rotated: who was served last comes last. */
  #rotation: Partition[] = []
  #readyMessages = 0
  #readyBytes = 0
  /** Counts assignments, so that the work of an outdated one stops. */
  #assignments = 0
  #isOpen = false
  readonly #firstAssigned = Promise.withResolvers<void>()
  #whenOpen: PromiseWithResolvers<void> = Promise.withResolvers()
  #wakeReceiver: (() => void) | undefined
  #failure: Error | undefined
  #onLost: ((deliveries: readonly Delivery[]) => void) | undefined
  #closing: Promise<void> | undefined

  constructor(request: SubscriptionRequest, context: SubscriptionContext) {
    this.#request = request
    this.#context = context
    const { settings, clock, groupId, instance, names, publisher, legacy } = context
    const { topic, group, broadcast } = request
    this.#firstAssigned.promise.catch(() => {})
    const own = broadcast ? [] : [names.retry, names.delay].map((name) => ({ name, fromBeginning: true }))
    this.#member = new Member(
      {
        settings,
        instance,
        groupId,
        topics: [{ name: topic.name, fromBeginning: group.from === 'earliest' }, ...own],
        mainCount: topic.partitions,
        strays: legacy.strays,
      },
      {
        revoking: () => this.#revoking(),
        assigned: (assignment) => this.#assigned(assignment),
        batch: (payload) => this.#takeBatch(payload),
        failed: (error) => this.#fail(error),
      },
    )
    this.#committer = new Committer({
      clock,
      intervalMs: settings.commitInterval,
      send: (topics) => this.#member.commit(topics),
      onCommitted: () => this.#wake(),
    })
    this.#holding = new Holding(clock, (due) => this.#onDue(due))
    this.#copies = new Copies(publisher, names, clock, settings)
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
      partitions: [...this.#partitions.values()].map(({ topic, index, offsets, committed, inHand }) => ({
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
    this.#holding.clear()
    this.#wake()
    const partitions = [...this.#partitions.values()]
    let isCommitted = false
    const given = this.#committer.pause().then(async () => {
      await this.#committer.commit(partitions, 'given up')
      isCommitted = true
    })
    await atMost(closeCommitTimeoutMs, given)
    if (!isCommitted) this.#carryOver(partitions)
    await this.#member.close()
    await this.#context.onClosed()
  }

  /** For the next subscription of this process, if nobody else has the partition meanwhile. */
  #carryOver(partitions: readonly Partition[]): void {
    for (const { topic, index, committed, offsets } of partitions) {
      if (committed === undefined) continue
      this.#context.legacy.commits.set(keyOf(topic, index), { committed, wanted: offsets.commit('held') })
    }
  }

  #ensureWorking(): void {
    if (this.#failure !== undefined) {
      throw toDriverError(this.#failure, `The consumer of group ${this.#context.groupId} ended`)
    }
  }

  // -------------------------------------------------------------------------------------------------------------
  // Handing out

  #take(max: number): KafkaDelivery[] {
    const deliveries: KafkaDelivery[] = []
    if (!this.#isOpen) return deliveries
    // First what waited for its time: it is due now, whatever the backlog.
    this.#takeFrom('due', max, deliveries)
    this.#takeFrom('any', max, deliveries)
    if (deliveries.length > 0) this.#regulate()
    return deliveries
  }

  /** In turns, so that no partition, and on an ordered topic no key, has all the room. */
  #takeFrom(what: 'due' | 'any', max: number, deliveries: KafkaDelivery[]): void {
    const able = this.#rotation.filter((partition) => partition.has(what))
    while (able.length > 0 && deliveries.length < max) {
      const share = Math.ceil((max - deliveries.length) / able.length)
      for (let index = 0; index < able.length; index += 1) {
        const partition = able[index]
        const room = Math.min(share, max - deliveries.length)
        let taken = 0
        for (; partition !== undefined && taken < room; taken += 1) {
          const delivery = partition.take(what)
          if (delivery === undefined) break
          this.#readyMessages -= 1
          this.#readyBytes -= delivery.waiting.bytes
          deliveries.push(delivery)
        }
        if (taken < room) {
          able.splice(index, 1)
          index -= 1
        }
        if (partition !== undefined && deliveries.length >= max) {
          // The next turn begins behind it.
          const served = this.#rotation.indexOf(partition)
          this.#rotation.push(...this.#rotation.splice(0, served + 1))
          return
        }
      }
    }
  }

  #ready(waiting: Waiting, isDue: boolean): void {
    if (isDue) waiting.partition.addDue(waiting)
    else waiting.partition.addFresh(waiting)
    this.#readyMessages += 1
    this.#readyBytes += waiting.bytes
  }

  #settle(delivery: KafkaDelivery): void {
    const { partition, offset } = delivery.waiting
    partition.inHand.delete(delivery)
    partition.offsets.settle(offset)
  }

  #giveBack(delivery: KafkaDelivery): void {
    delivery.waiting.partition.inHand.delete(delivery)
    this.#ready(delivery.waiting, true)
  }

  #afterSettling(): void {
    const careful = this.#rotation.some(({ offsets }) => offsets.careful)
    this.#committer.wake(careful)
    if (this.#readyMessages > 0) this.#wake()
  }

  #wake(): void {
    this.#wakeReceiver?.()
  }

  // -------------------------------------------------------------------------------------------------------------
  // Taking in

  async #takeBatch({ batch, resolveOffset, heartbeat }: EachBatchPayload): Promise<void> {
    if (!this.#isOpen) {
      // Between an assignment and our claim on it; what is not taken is fetched again.
      await atMost(this.#context.settings.fetchWait, this.#whenOpen.promise)
      if (!this.#isOpen) return heartbeat()
    }
    const { topic, partition: index, messages } = batch
    const partition = this.#partitions.get(keyOf(topic, index))
    if (partition === undefined) return
    const now = this.#context.clock.now()
    const { hold } = this.#context.settings
    const forward: Waiting[] = []
    for (const message of messages) {
      const offset = Number(message.offset)
      if (!partition.offsets.receive(offset)) continue
      const waiting: Waiting = { partition, offset, message, bytes: message.value?.byteLength ?? 0 }
      const at = partition.kind === 'delay' ? moveAtOf(message) : dueAtOf(message)
      if (partition.kind === 'delay' ? at <= now : at > now + hold) forward.push(waiting)
      else if (at > now) this.#holding.add(at, waiting)
      else this.#ready(waiting, false)
    }
    partition.offsets.skipTo(Number(batch.lastOffset()) + 1)
    const last = messages.at(-1)
    if (last !== undefined) resolveOffset(last.offset)
    if (partition.offsets.dirty) this.#committer.wake()
    this.#regulate()
    this.#wake()
    if (forward.length > 0) void this.#forward(forward)
  }

  #onDue(due: readonly Waiting[]): void {
    const ours = due.filter(({ partition }) => !partition.isLost)
    const forward = ours.filter(({ partition }) => partition.kind === 'delay')
    for (const waiting of ours) if (waiting.partition.kind !== 'delay') this.#ready(waiting, true)
    this.#regulate()
    this.#wake()
    if (forward.length > 0) void this.#forward(forward)
  }

  /** Copies on to the next stage of the wait. */
  async #forward(waiting: readonly Waiting[]): Promise<void> {
    const copies = waiting.map((each) => this.#copies.moveOn(each))
    this.#copies.send()
    for (const [index, { ok: isCopied }] of (await Promise.all(copies)).entries()) {
      const each = waiting[index]
      if (each === undefined || each.partition.isLost || this.#closing !== undefined) continue
      if (isCopied) each.partition.offsets.settle(each.offset)
      else this.#holding.add(this.#context.clock.now() + forwardRetryMs, each)
    }
    this.#committer.wake()
  }

  /** Stops fetching what there is no room for. */
  #regulate(): void {
    const isFull = (share: number) =>
      this.#readyMessages > maxReadyMessages * share || this.#readyBytes > maxReadyBytes * share
    const holdsTooMuch = (share: number) => this.#holding.size > this.#context.settings.maxHeld * share
    for (const partition of this.#rotation) {
      const share = partition.isPaused ? resumeShare : 1
      // What waits for its time is fetched as long as there is room for it, however many wait for a handler.
      const pause = holdsTooMuch(share) || (partition.kind === 'main' && isFull(share))
      if (pause === partition.isPaused) continue
      partition.isPaused = pause
      if (pause) this.#member.pause(partition.topic, [partition.index])
      else this.#member.resume(partition.topic, [partition.index])
    }
  }

  // -------------------------------------------------------------------------------------------------------------
  // Assignment

  #revoking(): void {
    this.#shut()
    // kafkajs waits for nobody here, but sends this ahead of its own request to join.
    const partitions = [...this.#partitions.values()]
    this.#assignments += 1
    this.#revoked = this.#committer
      .pause()
      .then(() => this.#committer.commit(partitions, 'given up'))
      .catch(() => {})
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
    const found = await this.#member.coordinator.committed(assignment)
    const starts = new Map<string, Map<number, number>>()
    for (const [topic, partitions] of found) {
      if (!partitions.some(({ offset }) => offset < 0)) continue
      const from = topic === this.#request.topic.name ? this.#request.group.from : 'earliest'
      starts.set(topic, await this.#context.startOf(topic, from))
    }
    if (number !== this.#assignments || this.#closing !== undefined) return
    const partitions = new Map<string, Partition>()
    for (const [topic, committed] of found) {
      for (const { partition: index, offset, metadata } of committed) {
        const start = offset < 0 ? (starts.get(topic)?.get(index) ?? 0) : offset
        const key = keyOf(topic, index)
        const wrote = { offset: String(start), metadata: metadata ?? '' }
        partitions.set(key, this.#keep(key, wrote) ?? this.#begin(topic, index, wrote))
      }
    }
    const lost = [...this.#partitions].filter(([key, each]) => partitions.get(key) !== each)
    this.#partitions = partitions
    this.#rotation = [...partitions.values()]
    this.#lose(lost.map(([, partition]) => partition))
    await this.#committer.commit(partitions.values(), 'held', (topics) => this.#member.claim(topics))
    if (number !== this.#assignments || this.#closing !== undefined) return
    for (const { topic, index, offsets, isPaused } of this.#rotation) {
      // kafkajs starts over at the committed offset, and without one where it pleases; what we have need not come again.
      if (offsets.next > offsets.watermark || starts.has(topic)) {
        this.#member.seek(topic, index, offsets.next)
      }
      if (isPaused) this.#member.pause(topic, [index])
      else this.#member.resume(topic, [index])
    }
    this.#isOpen = true
    this.#whenOpen.resolve()
    this.#firstAssigned.resolve()
    this.#committer.open(this.#rotation)
    this.#wake()
  }

  /** The partition as we have it, if nobody else had it since our last commit. */
  #keep(key: string, { offset, metadata }: OffsetCommit): Partition | undefined {
    const partition = this.#partitions.get(key)
    const wrote = partition?.committed
    return wrote?.offset === offset && wrote.metadata === metadata ? partition : undefined
  }

  #begin(topic: string, index: number, committed: OffsetCommit): Partition {
    const { holder, legacy } = this.#context
    const key = keyOf(topic, index)
    const carry = legacy.commits.get(key)
    legacy.commits.delete(key)
    const isCurrent =
      carry?.committed.offset === committed.offset && carry.committed.metadata === committed.metadata
    const { offset, metadata } = isCurrent ? carry.wanted : committed
    const start = Number(offset)
    const record = metadata === '' ? emptyRecord : parseRecord(start, metadata)
    const offsets = new PartitionOffsets(start, record, { holder, suspects: this.#request.prefetch })
    return new Partition(topic, index, this.#kindOf(topic), offsets)
  }

  #kindOf(topic: string): PartitionKind {
    const { names } = this.#context
    if (topic === names.retry) return 'retry'
    return topic === names.delay ? 'delay' : 'main'
  }

  #lose(partitions: readonly Partition[]): void {
    const lost: KafkaDelivery[] = []
    for (const partition of partitions) {
      partition.isLost = true
      lost.push(...partition.inHand)
      for (const { bytes } of partition.waiting()) {
        this.#readyMessages -= 1
        this.#readyBytes -= bytes
      }
    }
    this.#holding.dropLost()
    if (lost.length > 0) this.#onLost?.(lost)
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
