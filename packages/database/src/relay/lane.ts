import { type Backoff, type Bus, exponential, type Producer } from '@waybill/core'
import { MessagingError, toMessagingError } from '@waybill/core/driver'
import { sendStored } from '@waybill/core/outbox'
import type { Emitter } from '../emitter.ts'
import type { Host } from '../host.ts'
import type { Definitions } from '../outbox/definitions.ts'
import type { RowOptions } from '../outbox/row.ts'
import { BatchOrder } from './batch-order.ts'
import { Holds } from './holds.ts'
import type { Leases } from './leases.ts'
import { holdName, Queue, type Waiting, type WaitingRow } from './queue.ts'
import type { RelayEvents, RelayedMessage } from './relay-events.ts'
import type { RelaySettings } from './relay-options.ts'
import { isOfSurroundings, isRefusedForGood } from './verdict.ts'
import { WakeUp } from './wake-up.ts'

/** What all lanes of a relay share. */
export interface LaneHost {
  readonly host: Host
  readonly bus: Bus
  readonly definitions: Definitions
  readonly settings: RelaySettings
  readonly leases: Leases
  readonly events: Emitter<RelayEvents>
  /** How long to wait for being woken, in milliseconds. */
  pollMs(): number
  producer(source: string): Producer
}

interface Outcome {
  readonly row: WaitingRow
  /** Undefined: it was sent. */
  readonly error?: unknown
  readonly hasExpired?: boolean
  /** False: it was not tried, because of one before it. */
  readonly wasTried?: boolean
  /** Its turn did not come in time: the next batch has it. */
  readonly isLeft?: boolean
}

/** The longest wait before the database is asked again, however long messages may wait. */
const longestMs = 102_400

/**
 * One of the loops of a relay, with slots of its own: it reads a batch, sends it, and removes what was sent. Messages of a key
 * are always in the same lane, in one batch after the other, so their order is kept without another thought.
 */
export class Lane {
  readonly #number: number
  readonly #shared: LaneHost
  readonly #queue: Queue
  readonly #holds: Holds
  readonly #wakeUp: WakeUp
  readonly #backoff: Backoff
  /** Sent, but not removed yet. */
  #sent: string[] = []
  #busy: Promise<void> = Promise.resolve()
  #onIdle: (() => void) | undefined
  #failures = 0
  #stepBeganAt: number | undefined
  #databaseError: MessagingError | undefined
  #sendError: MessagingError | undefined
  relayed = 0

  constructor(number: number, shared: LaneHost) {
    this.#number = number
    this.#shared = shared
    this.#queue = new Queue(shared.host)
    this.#holds = new Holds(shared.host.clock, shared.settings.maxBackoff)
    this.#wakeUp = new WakeUp(shared.host.clock)
    const max = Math.min(shared.settings.maxBackoff, longestMs)
    this.#backoff = exponential({ initial: 200, max, jitter: 0 })
  }

  /** What fails at the moment. */
  get error(): MessagingError | undefined {
    return this.#databaseError ?? this.#stuck ?? (this.#holds.size > 0 ? this.#sendError : undefined)
  }

  /** Neither the database nor middleware has a time limit of ours. */
  get #stuck(): MessagingError | undefined {
    const { host, settings } = this.#shared
    const ageMs = host.clock.monotonic() - (this.#stepBeganAt ?? Number.POSITIVE_INFINITY)
    if (ageMs < settings.sendTimeout + settings.lease) return undefined
    const what = `A batch is under way for ${Math.round(ageMs / 1000)} s`
    const next = 'See whether the database answers, and whether middleware, codecs and stages end'
    return new MessagingError('timeout', `${what}. ${next}`, { retryable: true })
  }

  get held(): number {
    return this.#holds.size
  }

  wake(): void {
    this.#wakeUp.wake()
  }

  /** Resolves when the batch that is under way is done. */
  settled(): Promise<void> {
    return this.#busy
  }

  /** Resolves when all that is in the outbox now and is this lane's has been sent, or is held and waits to be tried again. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve
      this.wake()
    })
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // One that is asked for during a step may be for rows that the step has not seen.
      const onIdle = this.#onIdle
      const step = this.#step()
      this.#busy = step.then(() => {})
      const hasMore = await step
      if (signal.aborted) break
      if (hasMore) continue
      onIdle?.()
      await this.#rest()
    }
  }

  async #rest(): Promise<void> {
    await this.#wakeUp.wait(Math.min(this.#shared.pollMs(), this.#holds.nextMs() ?? Number.POSITIVE_INFINITY))
  }

  /** One batch; true if there may be more at once. Never rejects. */
  async #step(): Promise<boolean> {
    const { host, events } = this.#shared
    const what = 'relaying the outbox'
    this.#stepBeganAt = host.clock.monotonic()
    try {
      await this.#removeSent()
      const { rows, mayHaveMore } = await this.#read()
      const areLeft = rows.length > 0 && (await this.#relay(rows))
      this.#databaseError = undefined
      this.#failures = 0
      return mayHaveMore || areLeft
    } catch (error) {
      this.#failures += 1
      this.#databaseError = host.failed(error, what)
      events.fail(what, this.#databaseError)
      this.#stepBeganAt = undefined
      await this.#wakeUp.wait(this.#backoff(this.#failures))
      return true
    } finally {
      this.#stepBeganAt = undefined
    }
  }

  async #removeSent(): Promise<void> {
    if (this.#sent.length === 0) return
    await this.#queue.remove(this.#sent)
    this.#sent = []
  }

  async #read(): Promise<Waiting> {
    const slots = this.#slots()
    if (slots.length === 0) return { rows: [], mayHaveMore: false }
    const { bus, settings } = this.#shared
    const { delay, maxDelayMs } = bus.capabilities
    const { rows, mayHaveMore } = await this.#queue.read({
      slots,
      max: settings.batchSize,
      maxDelayMs: delay ? maxDelayMs : 0,
      heldKeys: this.#holds.heldKeys(),
      heldTopics: this.#holds.heldTopics(),
    })
    // The process may have stood still in the meantime, and others may have what was ours.
    const still = new Set(this.#slots())
    return { rows: rows.filter(({ slot }) => still.has(slot)), mayHaveMore }
  }

  #slots(): number[] {
    const { leases, settings } = this.#shared
    return [...leases.slots].filter((slot) => slot % settings.lanes === this.#number)
  }

  /** True if some were left for the next batch. */
  async #relay(rows: readonly WaitingRow[]): Promise<boolean> {
    const { host, events } = this.#shared
    const startedAt = host.clock.monotonic()
    const batch = new BatchOrder(startedAt + this.#shared.settings.sendTimeout)
    const outcomes = await Promise.all(rows.map((row) => this.#send(row, batch)))
    const done = outcomes.filter(({ error, isLeft }) => error === undefined && isLeft !== true)
    this.#sent = done.map(({ row }) => row.position)
    const sent = done.filter(({ hasExpired }) => hasExpired !== true)
    // Before what may fail: nobody would do it later.
    for (const { row } of sent) this.#holds.release(holdName(row), row.topic)
    await this.#removeSent()
    for (const { row } of done.filter(({ hasExpired }) => hasExpired)) events.emit('expired', infoOf(row))
    this.relayed += sent.length
    if (sent.length > 0) {
      events.emit('relayed', { messages: sent.length, durationMs: host.clock.monotonic() - startedAt })
    }
    const freed = await this.#fail(
      outcomes.filter(({ error }) => error !== undefined),
      new Set(sent.map(({ row }) => row.topic)),
    )
    return freed || outcomes.some(({ isLeft }) => isLeft)
  }

  /** Never rejects. Called for all of a batch in turn, so that those of a key are handed over in their order. */
  async #send(row: WaitingRow, batch: BatchOrder): Promise<Outcome> {
    if (row.remaining !== null && row.remaining <= 0) return { row, hasExpired: true }
    const place = batch.enter(row)
    if (place.turn !== undefined) await place.turn
    const blocked = place.blockedBy()
    if (blocked !== undefined) {
      place.handedOver()
      return { row, error: blocked.error, wasTried: false }
    }
    const { host, definitions, leases } = this.#shared
    const timeoutMs = place.deadline - host.clock.monotonic()
    // Those before it took long, or the process stood still, and another relay may have its key by now. Later ones of the key come
    // here too, as they end before it.
    if (!leases.slots.has(row.slot)) batch.lostSlots.add(row.slot)
    if (timeoutMs <= 0 || batch.lostSlots.has(row.slot)) {
      place.handedOver()
      return { row, isLeft: true }
    }
    try {
      const options: RowOptions = row.options === null ? {} : JSON.parse(row.options)
      await sendStored(this.#shared.producer(row.source), {
        definition: definitions.of(row),
        data: dataOf(row),
        timestamp: new Date(row.sent),
        expiresAt: row.expires === null ? undefined : new Date(row.expires),
        onHandedOver: place.handedOver,
        options: {
          ...options,
          id: row.id,
          ...(row.key !== null && { key: row.key }),
          ...(row.delay !== null && row.delay > 0 && { delay: Math.ceil(row.delay) }),
          ...(place.signal !== undefined && { signal: place.signal }),
          timeout: timeoutMs,
        },
      })
      place.handedOver()
      return { row }
    } catch (error) {
      if (isRefusedForGood(error)) place.handedOver()
      else place.failed(error)
      return { row, error }
    }
  }

  /** True if messages can go on that waited for one which is set aside now. */
  async #fail(failures: readonly Outcome[], tried: ReadonlySet<string>): Promise<boolean> {
    if (failures.length === 0) return false
    const { events } = this.#shared
    const parked = new Set<string>()
    let areFreed = false
    const held = new Map<string, Outcome[]>()
    for (const failure of failures) {
      const { row, error } = failure
      if (failure.wasTried !== false && this.#isHopeless(row, error)) {
        const known = toMessagingError(error, 'Sending failed')
        await this.#queue.failed([row.position], 'parked', known.message)
        this.#holds.release(holdName(row), row.topic)
        parked.add(holdName(row))
        events.emit('parked', { ...infoOf(row), error: known })
      } else if (failure.wasTried === false && parked.has(holdName(row))) areFreed = true
      else held.set(row.topic, [...(held.get(row.topic) ?? []), failure])
    }
    for (const [topic, outcomes] of held) await this.#hold(topic, outcomes, tried.has(topic))
    return areFreed
  }

  /** Refused for good, or failed too often by an error of the application's own. */
  #isHopeless(row: WaitingRow, error: unknown): boolean {
    if (isRefusedForGood(error)) return true
    const { attempts } = this.#shared.settings
    return !MessagingError.is(error) && this.#holds.failuresOf(holdName(row)) >= attempts - 1
  }

  /**
   * Holds the keys, or the topic if nothing of it went through and that tells that the broker is away, or the topic. What the
   * application's own code throws, or a definition that is missing, says nothing about other messages of the topic.
   */
  async #hold(topic: string, failures: readonly Outcome[], someWereSent: boolean): Promise<void> {
    const { events } = this.#shared
    const seen = new Set<string>()
    const isOfTopic = !someWereSent && failures.every(({ error }) => isOfSurroundings(error))
    const delayMs = isOfTopic ? this.#holds.holdTopic(topic) : undefined
    for (const { row, error } of failures) {
      const name = holdName(row)
      if (seen.has(name)) continue
      seen.add(name)
      const known = toMessagingError(error, 'Sending failed')
      events.emit('held', {
        ...infoOf(row),
        error: known,
        delayMs: Math.round(delayMs ?? this.#holds.holdKey(name, topic)),
      })
      this.#sendError = known
    }
    const first = toMessagingError(failures[0]?.error, 'Sending failed')
    const positions = failures.filter(({ wasTried }) => wasTried !== false).map(({ row }) => row.position)
    await this.#queue.failed(positions, 'waiting', first.message)
  }
}

function dataOf({ data, data_bytes: bytes }: WaitingRow): unknown {
  if (bytes !== null) return bytes
  return data === null ? undefined : JSON.parse(data)
}

function infoOf({ position, topic, type, id, key }: WaitingRow): RelayedMessage {
  return { position, topic, type, id, key: key ?? undefined }
}
