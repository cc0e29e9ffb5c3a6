import { attemptOf, type Delivery, type Outcome } from '@waybill/core/driver'
import { fromRecord } from '../wire/messages.ts'
import type { ConsumedRecord } from '../wire/records.ts'
import { includesCommit, type OffsetCommit, type PartitionOffsets } from './offsets.ts'
import { Queue } from './queue.ts'

/** `main`: the topic's own; `retry`: due soon; `delay`: not to be delivered, only to be moved on. */
export type PartitionKind = 'main' | 'retry' | 'delay'

/** A copy that a verdict asks for. */
export interface CopyUnderWay {
  /** Undefined while it is being written. */
  outcome: Outcome | undefined
}

/** A message that is here and not in core's hands. */
export interface Waiting {
  readonly partition: Partition
  readonly offset: number
  readonly record: ConsumedRecord
  readonly bytes: number
  /** What it goes on with in place of the record's own, because a copy with these could not be written. */
  readonly headers?: Readonly<Record<string, string>>
  /** One that may still be written, and then stands in for it. */
  readonly copy?: CopyUnderWay
}

/** What core gets, and gives back. */
export interface KafkaDelivery extends Delivery {
  readonly waiting: Waiting
}

/** An assigned partition for as long as it is ours; a later assignment of the same partition is another object. */
export class Partition {
  readonly topic: string
  readonly index: number
  readonly kind: PartitionKind
  readonly offsets: PartitionOffsets
  /** Delivered to core and not settled. */
  readonly inHand = new Set<KafkaDelivery>()
  #committed: OffsetCommit | undefined
  /** It, or what was found, and those tried since with no answer: the broker has one of them, unless it had another owner. */
  #commits: OffsetCommit[]
  isLost = false
  isPaused = false
  /** Ahead of `#fresh`: what waited for its time, or was given back; by offset. */
  readonly #due: Waiting[] = []
  readonly #fresh = new Queue<Waiting>()

  /** `found`: what the broker had when it became ours. */
  constructor(
    topic: string,
    index: number,
    kind: PartitionKind,
    offsets: PartitionOffsets,
    found: OffsetCommit,
  ) {
    this.topic = topic
    this.index = index
    this.kind = kind
    this.offsets = offsets
    this.#commits = [found]
  }

  /** What the broker has of us, as far as we know. */
  get committed(): OffsetCommit | undefined {
    return this.#committed
  }

  /** One of these is what the broker has, unless the partition had another owner since. */
  get commits(): readonly OffsetCommit[] {
    return this.#commits
  }

  confirm(commit: OffsetCommit): void {
    this.#committed = commit
    this.#commits = [commit]
  }

  /** The commit failed, which does not tell whether the broker did it. */
  doubt(commit: OffsetCommit): void {
    if (!includesCommit(this.#commits, commit)) this.#commits.push(commit)
    this.offsets.markDirty()
  }

  /** Whether `take` is worth a try. `due`: only of what goes ahead of a backlog. */
  has(what: 'due' | 'any'): boolean {
    return this.#due.length > 0 || (this.#fresh.size > 0 && (what === 'any' || this.kind === 'retry'))
  }

  /** All that is ready for core. */
  *waiting(): IterableIterator<Waiting> {
    yield* this.#due
    yield* this.#fresh
  }

  addFresh(waiting: Waiting): void {
    this.#fresh.push(waiting)
  }

  addDue(waiting: Waiting): void {
    let at = this.#due.length
    while (at > 0 && (this.#due[at - 1]?.offset ?? 0) > waiting.offset) at -= 1
    this.#due.splice(at, 0, waiting)
  }

  /** The next for core. */
  take(what: 'due' | 'any'): KafkaDelivery | undefined {
    const waiting = this.offsets.careful ? this.#takeSuspect() : (this.#due.shift() ?? this.#takeFresh(what))
    if (waiting === undefined) return undefined
    const { body, contentType, headers, attempt, key, timestamp, transportId } = fromRecord(waiting.record, {
      topic: this.topic,
      partition: this.index,
    })
    const deliveries = this.offsets.deliveriesOf(waiting.offset)
    const ours = waiting.headers
    const delivery: KafkaDelivery = {
      body,
      contentType,
      headers: ours ?? headers,
      attempt: ours === undefined ? attempt : attemptOf(ours),
      deliveries,
      crashes: deliveries - 1,
      key,
      timestamp,
      transportId,
      waiting,
    }
    this.inHand.add(delivery)
    return delivery
  }

  #takeFresh(what: 'due' | 'any'): Waiting | undefined {
    return what === 'any' || this.kind === 'retry' ? this.#fresh.shift() : undefined
  }

  /** The message at the watermark, alone, once the broker knows that it is its turn. */
  #takeSuspect(): Waiting | undefined {
    const { watermark } = this.offsets
    if (this.inHand.size > 0 || this.#committed?.offset !== String(watermark)) return undefined
    if (this.#fresh.first?.offset === watermark) return this.#fresh.shift()
    const at = this.#due.findIndex(({ offset }) => offset === watermark)
    return at < 0 ? undefined : this.#due.splice(at, 1)[0]
  }
}
