import { z } from 'zod'
import { type Range, Ranges } from './ranges.ts'

/** What is to be committed for a partition. */
export interface OffsetCommit {
  readonly offset: string
  readonly metadata: string
}

export function includesCommit(commits: readonly OffsetCommit[], commit: OffsetCommit): boolean {
  return commits.some(({ offset, metadata }) => offset === commit.offset && metadata === commit.metadata)
}

/**
 * What a commit's metadata tells beside the offset, so that the next owner, on whatever machine, knows where this one
 * stood. Kept by the broker together with the offset, atomically.
 */
export interface CommitRecord {
  /** Who owns the partition; undefined once it has been given up in good order. */
  readonly holder: string | undefined
  /** How many owners died while the offsets below `suspectUntil` were unsettled. */
  readonly crashes: number
  readonly suspectUntil: number
  /** The suspects are handed out one at a time, and `crashes` are those of the one at the committed offset alone. */
  readonly careful: boolean
  /** Settled offsets above the committed one. */
  readonly settled: readonly Range[]
  /** The topic's id at the broker: under another one, offsets are those of another log. */
  readonly topicId: string | undefined
}

export const emptyRecord: CommitRecord = {
  holder: undefined,
  crashes: 0,
  suspectUntil: 0,
  careful: false,
  settled: [],
  topicId: undefined,
}

/**
 * From how many crashes on a partition's suspects are handed out one at a time, each after a commit of its own: then the
 * count belongs to a single message. After one crash it is more likely that the process was killed from outside.
 */
export const carefulFrom = 2

// Short of 4096 characters, the broker's default of `offset.metadata.max.bytes` (Kafka documentation, "Broker
// Configs"). What does not fit is redelivered after a change of owner.
const maxSettledLength = 3000

const recordSchema = z.object({
  waybill: z.literal(1),
  holder: z.string().optional(),
  crashes: z.int().min(0).default(0),
  suspectUntil: z.int().min(0).default(0),
  careful: z.boolean().default(false),
  settled: z.string().default(''),
  topic: z.string().optional(),
})

/** Reads metadata back; what others wrote, or nothing, is an empty record. */
export function parseRecord(offset: number, metadata: string | null | undefined): CommitRecord {
  if (metadata === null || metadata === undefined || !metadata.startsWith('{')) return emptyRecord
  let json: unknown
  try {
    json = JSON.parse(metadata)
  } catch {
    return emptyRecord
  }
  const { success, data } = recordSchema.safeParse(json)
  if (!success) return emptyRecord
  const { holder, crashes, suspectUntil, careful, topic: topicId } = data
  return { holder, crashes, suspectUntil, careful, topicId, settled: parseSettled(offset, data.settled) }
}

// Pairs `unsettled+settled` of run lengths, upwards from the committed offset: `1+40 2+7`.
function parseSettled(offset: number, text: string): Range[] {
  const ranges: Range[] = []
  let at = offset
  for (const [, gap, length] of text.matchAll(/(\d+)\+(\d+)/g)) {
    const from = at + Number(gap)
    at = from + Number(length)
    ranges.push({ from, to: at })
  }
  return ranges
}

function formatSettled(offset: number, settled: Iterable<Range>): string {
  const pairs: string[] = []
  let length = 0
  let at = offset
  for (const { from, to } of settled) {
    const pair = `${from - at}+${to - from}`
    length += pair.length + 1
    if (length > maxSettledLength) break
    pairs.push(pair)
    at = to
  }
  return pairs.join(' ')
}

/** Whether an owner other than `holder` died with the partition. */
export function isOrphan(record: CommitRecord, holder: string): boolean {
  return record.holder !== undefined && record.holder !== holder
}

export interface PartitionOffsetsOptions {
  /** Who we are; the same over reconnects of one process. */
  readonly holder: string
  /** How many offsets above the committed one may have been in hand when an owner died. */
  readonly suspects: number
  /** The offset after the latest message: what comes later was in nobody's hands. */
  readonly end: number
  readonly topicId: string | undefined
}

/**
 * Where a group stands in one partition: which offsets are received and which are settled, what to commit, and how often
 * owners died here. Settling out of order is the normal case; offsets that hold no message (transaction markers, compacted
 * ones) count as settled.
 */
export class PartitionOffsets {
  readonly #holder: string
  readonly #topicId: string | undefined
  /** Settled offsets above the watermark. */
  readonly #settled: Ranges
  #watermark: number
  #next: number
  #crashes: number
  #suspectUntil: number
  #careful: boolean
  #dirty = true

  constructor(
    offset: number,
    record: CommitRecord,
    { holder, suspects, end, topicId }: PartitionOffsetsOptions,
  ) {
    this.#holder = holder
    this.#topicId = topicId
    this.#watermark = offset
    this.#next = offset
    this.#settled = new Ranges(record.settled)
    const died = isOrphan(record, holder)
    this.#crashes = record.crashes + (died ? 1 : 0)
    this.#suspectUntil = died
      ? Math.min(end, Math.max(record.suspectUntil, offset + suspects))
      : record.suspectUntil
    if (offset >= this.#suspectUntil) this.#crashes = 0
    this.#careful = record.careful || this.#crashes >= carefulFrom
  }

  /** Of the log in which these offsets are; undefined where the broker does not tell. */
  get topicId(): string | undefined {
    return this.#topicId
  }

  /** The lowest offset that is not settled: what is committed. */
  get watermark(): number {
    return this.#watermark
  }

  /** The lowest offset not received yet. */
  get next(): number {
    return this.#next
  }

  /** Whether there is something to commit. */
  get dirty(): boolean {
    return this.#dirty
  }

  /** Only the message at the watermark may be in hand, and only once the commit that names it is durable. */
  get careful(): boolean {
    return this.#careful && this.#watermark < this.#suspectUntil
  }

  /** False when it is to be skipped: received before, or settled by an earlier owner. */
  receive(offset: number): boolean {
    if (offset < this.#next) return false
    this.skipTo(offset)
    this.#next = offset + 1
    return offset >= this.#watermark && !this.#settled.has(offset)
  }

  /** There is nothing for us in what was not received below `next`. */
  skipTo(next: number): void {
    if (next <= this.#next) return
    const from = this.#next
    this.#next = next
    this.#add(from, next)
  }

  settle(offset: number): void {
    if (offset < this.#watermark || offset >= this.#next) return
    if (offset === this.#watermark && this.#settled.size === 0) this.#moveTo(offset + 1)
    else this.#add(offset, offset + 1)
  }

  isSettled(offset: number): boolean {
    return offset < this.#watermark || this.#settled.has(offset)
  }

  /** How often a message has been handed out, this time included. */
  deliveriesOf(offset: number): number {
    return offset < this.#suspectUntil ? this.#crashes + 1 : 1
  }

  /** What to commit now. `given up` tells the next owner that nobody died. */
  commit(state: 'held' | 'given up'): OffsetCommit {
    this.#dirty = false
    const settled = formatSettled(this.#watermark, this.#settled)
    const metadata = JSON.stringify({
      waybill: 1,
      ...(state === 'held' && { holder: this.#holder }),
      ...(this.#watermark < this.#suspectUntil && {
        crashes: this.#crashes,
        suspectUntil: this.#suspectUntil,
        careful: this.#careful,
      }),
      ...(settled !== '' && { settled }),
      ...(this.#topicId !== undefined && { topic: this.#topicId }),
    })
    return { offset: String(this.#watermark), metadata }
  }

  /** The commit did not reach the broker, or another is wanted. */
  markDirty(): void {
    this.#dirty = true
  }

  #add(from: number, to: number): void {
    this.#settled.add(from, to)
    this.#dirty = true
    const { first } = this.#settled
    if (first !== undefined && first.from <= this.#watermark) {
      this.#settled.shift()
      this.#moveTo(first.to)
    }
  }

  #moveTo(watermark: number): void {
    // One at a time, the count was that of the one settled; the next may well be innocent.
    if (this.careful) this.#crashes = 0
    this.#watermark = watermark
    this.#dirty = true
    if (watermark >= this.#suspectUntil) this.#crashes = 0
  }
}
