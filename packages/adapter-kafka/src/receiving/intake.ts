import type { Clock } from '@waybill/core/driver'
import type { FetchedBatch } from '../client/group-member.ts'
import type { KafkaSettings } from '../options.ts'
import type { Copies } from '../settling/copies.ts'
import type { Partition, Waiting } from '../settling/partition.ts'
import { dueAtOf, moveAtOf } from '../wire/messages.ts'
import { detached, recordBytes } from '../wire/record-limits.ts'
import { Holding } from './holding.ts'
import type { Load, ReadyMessages } from './ready-messages.ts'

export interface IntakeOptions {
  readonly settings: KafkaSettings
  readonly clock: Clock
  readonly ready: ReadyMessages
  /** Undefined for a broadcast, which has no topics of its own: there everything waits here. */
  readonly copies: Copies | undefined
  readonly fetching: {
    pause(topic: string, partitions: readonly number[]): void
    resume(topic: string, partitions: readonly number[]): void
  }
  /** Something is ready, or settled. */
  readonly onChange: () => void
  readonly warn: (message: string) => void
}

// Fetching stops above these and goes on below two thirds of them, which is enough to bridge the time that a fetch under
// way holds back a partition that is resumed.
const maxReady: Load = { messages: 7500, bytes: 12 * 1024 * 1024 }
const resumeShare = 2 / 3

/** How long a fetch may wait while partitions are paused for want of room, and are to be resumed soon. */
const busyFetchWaitMs = 100

const forwardRetryMs = 1000
/** How often a message that is due asks for its copy, of which nothing is known yet. */
const lateCopyPollMs = 200

/**
 * What becomes of a record that was fetched: it is for core, or waits here for its time, or is copied on to where it waits
 * longer. Fetches no more than there is room for.
 */
export class Intake {
  readonly #options: IntakeOptions
  readonly #holding: Holding
  #partitions: readonly Partition[] = []
  /** Being copied on. */
  readonly #moving = { messages: 0, bytes: 0 }
  /** Delay partitions whose first message has time yet; what ends each one's sleep early. */
  readonly #asleep = new Map<Partition, () => void>()
  #isClosed = false

  constructor(options: IntakeOptions) {
    this.#options = options
    this.#holding = new Holding(options.clock, (due) => this.#sort(due, true))
  }

  /** What waits here for its time. */
  get held(): Load {
    return this.#holding.load
  }

  /** Whether more may wait here. */
  get hasRoom(): boolean {
    return !exceeds(this.held, this.#maxHeld, 1)
  }

  /** How long a fetch may wait for something to arrive. */
  get fetchWaitMs(): number {
    const { fetchWait } = this.#options.settings
    const isBusy = this.#partitions.some((partition) => partition.isPaused && !this.#asleep.has(partition))
    return isBusy ? Math.min(fetchWait, busyFetchWaitMs) : fetchWait
  }

  /** From now on these partitions are ours, and what belongs to others is forgotten. */
  open(partitions: readonly Partition[]): void {
    this.#partitions = partitions
    this.#holding.dropLost()
    for (const partition of [...this.#asleep.keys()]) if (partition.isLost) this.#awake(partition)
  }

  close(): void {
    this.#isClosed = true
    this.#partitions = []
    this.#holding.clear()
    for (const partition of [...this.#asleep.keys()]) this.#awake(partition)
  }

  /** What is not taken here will be fetched again. */
  take(partition: Partition, batch: FetchedBatch): void {
    const now = this.#options.clock.now()
    const taken: Waiting[] = []
    let end = batch.lastOffset + 1
    for (const record of batch.records) {
      const offset = Number(record.offset)
      // All of a delay partition wait equally long, so those behind this one have no less time.
      if (partition.kind === 'delay' && this.#sleepsUntil(partition, moveAtOf(record), now)) {
        end = offset
        break
      }
      if (!partition.offsets.receive(offset)) continue
      taken.push({ partition, offset, record: detached(record), bytes: recordBytes(record) })
    }
    partition.offsets.skipTo(end)
    const last = batch.records.at(-1)
    if (last !== undefined && end > Number(last.offset)) batch.resolve(last.offset)
    else if (end > batch.firstOffset) batch.resolve(String(end - 1))
    this.#sort(taken, false)
  }

  /** Keeps a message here until `at`. */
  hold(waiting: Waiting, at: number): void {
    this.#holding.add(at, waiting)
    this.regulate()
  }

  /** Pauses fetching when there is no room, and resumes it. */
  regulate(): void {
    const { ready, fetching } = this.#options
    for (const partition of this.#partitions) {
      const share = partition.isPaused ? resumeShare : 1
      const pause =
        partition.kind === 'main'
          ? // A backlog of what waits for its time does not keep the topic's own from being fetched.
            exceeds(ready.main, maxReady, share) ||
            exceeds(this.#moving, this.#maxHeld, share) ||
            (this.#isBroadcast && exceeds(this.held, this.#maxHeld, share))
          : this.#asleep.has(partition) ||
            exceeds(ready.returning, maxReady, share) ||
            exceeds(sum(this.#moving, this.held), this.#maxHeld, share)
      if (pause === partition.isPaused) continue
      partition.isPaused = pause
      if (pause) fetching.pause(partition.topic, [partition.index])
      else fetching.resume(partition.topic, [partition.index])
    }
  }

  get #isBroadcast(): boolean {
    return this.#options.copies === undefined
  }

  get #maxHeld(): Load {
    const { maxHeld, maxHeldBytes } = this.#options.settings
    return { messages: maxHeld, bytes: maxHeldBytes }
  }

  /** `waited`: it did so here, and is due now unless it could not be copied on. */
  #sort(messages: readonly Waiting[], waited: boolean): void {
    const now = this.#options.clock.now()
    const onward: Waiting[] = []
    for (const waiting of messages) {
      const { partition, record, headers, copy } = waiting
      // The second: a copy of what was held was written after all.
      if (partition.isLost || partition.offsets.isSettled(waiting.offset)) continue
      const at = partition.kind === 'delay' ? moveAtOf(record) : dueAtOf(record)
      // Held because it was not copied: its time is now, unless the copy is written yet.
      if (copy !== undefined && copy.outcome === undefined) this.#holding.add(now + lateCopyPollMs, waiting)
      else if (headers !== undefined) this.#options.ready.add(waiting, waited)
      else if (at > now && this.#hasRoomFor(partition, at - now)) this.#holding.add(at, waiting)
      else if (at > now || partition.kind === 'delay') onward.push(waiting)
      else this.#options.ready.add(waiting, waited)
    }
    if (onward.length > 0) void this.#moveOn(onward)
    this.regulate()
    this.#options.onChange()
  }

  #hasRoomFor({ kind, index }: Partition, waitMs: number): boolean {
    const { hold, delayTiers } = this.#options.settings
    if (this.#isBroadcast) return true
    // What was written under longer tiers would hold up what comes behind: it is copied to where it belongs now.
    if (kind === 'delay') return waitMs <= (delayTiers[index] ?? hold)
    // What does not come from the topic itself is fetched only while there is room.
    return waitMs <= hold && (kind !== 'main' || !exceeds(this.held, this.#maxHeld, 1))
  }

  /** Copies to the next stage of the wait. */
  async #moveOn(messages: readonly Waiting[]): Promise<void> {
    const { copies, clock, warn, onChange } = this.#options
    if (copies === undefined) return
    const load = { messages: messages.length, bytes: messages.reduce((all, { bytes }) => all + bytes, 0) }
    add(this.#moving, load, 1)
    const copied = messages.map((each) => copies.moveOn(each))
    copies.send()
    const outcomes = await Promise.all(copied)
    add(this.#moving, load, -1)
    for (const [index, outcome] of outcomes.entries()) {
      const each = messages[index]
      if (each === undefined || each.partition.isLost) continue
      // Even when it is closed: the next subscription goes on with what was settled here.
      if (outcome.ok) each.partition.offsets.settle(each.offset)
      else if (!this.#isClosed) this.#holding.add(clock.now() + forwardRetryMs, each)
    }
    const failed = outcomes.find((outcome) => !outcome.ok)
    if (failed?.ok === false && !this.#isClosed) {
      warn(`Delayed messages cannot be moved to their next stage: ${failed.error.message}`)
    }
    this.regulate()
    onChange()
  }

  /** Whether the partition's first message has time yet; then it is read again when that is over. */
  #sleepsUntil(partition: Partition, moveAt: number, now: number): boolean {
    const { hold, delayTiers } = this.#options.settings
    const waitMs = moveAt - now
    if (waitMs <= hold || waitMs > (delayTiers[partition.index] ?? hold)) return false
    this.#sleep(partition, moveAt)
    return true
  }

  #sleep(partition: Partition, until: number): void {
    const { clock, settings } = this.#options
    this.#asleep.get(partition)?.()
    // Early enough to have it in memory when it is due.
    const afterMs = Math.max(0, until - settings.hold / 2 - clock.now())
    const cancel = clock.after(afterMs, () => this.#awake(partition), { background: true })
    this.#asleep.set(partition, cancel)
  }

  #awake(partition: Partition): void {
    this.#asleep.get(partition)?.()
    this.#asleep.delete(partition)
    this.regulate()
  }
}

function exceeds({ messages, bytes }: Load, most: Load, share: number): boolean {
  return messages > most.messages * share || bytes > most.bytes * share
}

function sum(one: Load, other: Load): Load {
  return { messages: one.messages + other.messages, bytes: one.bytes + other.bytes }
}

function add(load: { messages: number; bytes: number }, more: Load, sign: 1 | -1): void {
  load.messages += sign * more.messages
  load.bytes += sign * more.bytes
}
