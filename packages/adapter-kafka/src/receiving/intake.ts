import type { Clock } from '@waybill/core/driver'
import type { Batch } from 'kafkajs'
import type { Settings } from '../options.ts'
import type { Copies } from '../settling/copies.ts'
import type { Partition, Waiting } from '../settling/partition.ts'
import { dueAtOf, moveAtOf } from '../wire/messages.ts'
import { Holding } from './holding.ts'
import type { Load, ReadyMessages } from './ready-messages.ts'

export interface IntakeOptions {
  readonly settings: Settings
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
const maxReadyMessages = 7500
const maxReadyBytes = 12 * 1024 * 1024
const resumeShare = 2 / 3

const forwardRetryMs = 1000

/**
 * What becomes of a message that was fetched: it is for core, or waits here for its time, or is copied on to where it waits
 * longer. Fetches no more than there is room for.
 */
export class Intake {
  readonly #options: IntakeOptions
  readonly #holding: Holding
  #partitions: readonly Partition[] = []
  /** Being copied on. */
  #moving = 0
  /** Delay partitions whose first message has time yet; what ends each one's sleep early. */
  readonly #asleep = new Map<Partition, () => void>()
  #isClosed = false

  constructor(options: IntakeOptions) {
    this.#options = options
    this.#holding = new Holding(options.clock, (due) => this.#sort(due, true))
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

  /** What is not taken stays to be fetched again. */
  take(partition: Partition, batch: Batch, resolveOffset: (offset: string) => void): void {
    const wakeAt = this.#options.clock.now() + this.#options.settings.hold
    const taken: Waiting[] = []
    let end = Number(batch.lastOffset()) + 1
    for (const message of batch.messages) {
      const offset = Number(message.offset)
      // All of a delay partition wait equally long, so those behind this one have no less time.
      if (partition.kind === 'delay' && moveAtOf(message) > wakeAt) {
        this.#sleep(partition, moveAtOf(message))
        end = offset
        break
      }
      if (!partition.offsets.receive(offset)) continue
      taken.push({ partition, offset, message, bytes: message.value?.byteLength ?? 0 })
    }
    partition.offsets.skipTo(end)
    const last = batch.messages.at(-1)
    if (last !== undefined && end > Number(last.offset)) resolveOffset(last.offset)
    else if (end > Number(batch.firstOffset())) resolveOffset(String(end - 1))
    this.#sort(taken, false)
  }

  /** Stops fetching what there is no room for, and takes it up again. */
  regulate(): void {
    const { ready, settings, fetching } = this.#options
    for (const partition of this.#partitions) {
      const share = partition.isPaused ? resumeShare : 1
      const most = settings.maxHeld * share
      const pause =
        partition.kind === 'main'
          ? // A backlog of what waits for its time does not keep the topic's own from being fetched.
            isFull(ready.main, share) ||
            this.#moving > most ||
            (this.#isBroadcast && this.#holding.size > most)
          : this.#asleep.has(partition) ||
            isFull(ready.returning, share) ||
            this.#moving + this.#holding.size > most
      if (pause === partition.isPaused) continue
      partition.isPaused = pause
      if (pause) fetching.pause(partition.topic, [partition.index])
      else fetching.resume(partition.topic, [partition.index])
    }
  }

  get #isBroadcast(): boolean {
    return this.#options.copies === undefined
  }

  /** `waited`: it did so here, and is due now unless it could not be copied on. */
  #sort(messages: readonly Waiting[], waited: boolean): void {
    const now = this.#options.clock.now()
    const onward: Waiting[] = []
    for (const waiting of messages) {
      const { partition, message } = waiting
      if (partition.isLost) continue
      const at = partition.kind === 'delay' ? moveAtOf(message) : dueAtOf(message)
      if (at > now) {
        if (this.#hasRoomFor(partition, at - now)) this.#holding.add(at, waiting)
        else onward.push(waiting)
      } else if (partition.kind === 'delay') onward.push(waiting)
      else this.#options.ready.add(waiting, waited)
    }
    if (onward.length > 0) void this.#moveOn(onward)
    this.regulate()
    this.#options.onChange()
  }

  #hasRoomFor({ kind }: Partition, waitMs: number): boolean {
    const { hold, maxHeld } = this.#options.settings
    if (this.#isBroadcast || kind === 'delay') return true
    // What does not come from the topic itself is fetched only while there is room.
    return waitMs <= hold && (kind !== 'main' || this.#holding.size < maxHeld)
  }

  /** Copies to the next stage of the wait. */
  async #moveOn(messages: readonly Waiting[]): Promise<void> {
    const { copies, clock, warn, onChange } = this.#options
    if (copies === undefined) return
    this.#moving += messages.length
    const copied = messages.map((each) => copies.moveOn(each))
    copies.send()
    const outcomes = await Promise.all(copied)
    this.#moving -= messages.length
    for (const [index, outcome] of outcomes.entries()) {
      const each = messages[index]
      if (each === undefined || each.partition.isLost) continue
      // Even when it is closed: the next subscription goes on with what was settled here.
      if (outcome.ok) each.partition.offsets.settle(each.offset)
      else if (!this.#isClosed) this.#holding.add(clock.now() + forwardRetryMs, each)
    }
    const failed = outcomes.find((outcome) => !outcome.ok)
    if (failed?.ok === false && !this.#isClosed) {
      warn(`Messages that wait for their time cannot be moved on: ${failed.error.message}`)
    }
    this.regulate()
    onChange()
  }

  #sleep(partition: Partition, until: number): void {
    const { clock, settings } = this.#options
    this.#asleep.get(partition)?.()
    // Early enough to have it in memory when its time comes.
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

function isFull({ messages, bytes }: Load, share: number): boolean {
  return messages > maxReadyMessages * share || bytes > maxReadyBytes * share
}
