import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { type Bus, ConfigurationError, MessagingError, type Producer } from '@waybill/core'
import { type Duration, parseOptions, sleep } from '@waybill/core/driver'
import { durationOption, within } from '@waybill/core/driver-kit'
import { z } from 'zod'
import { Emitter } from '../emitter.ts'
import type { Host } from '../host.ts'
import type { Definitions } from '../outbox/definitions.ts'
import { type OutboxStats, outboxStats } from '../outbox/stats.ts'
import { Lane } from './lane.ts'
import { Leases } from './leases.ts'
import { Listener } from './listener.ts'
import { type RelayEvents, relayEventNames } from './relay-events.ts'
import { type RelayOptions, type RelaySettings, relayOptionsSchema } from './relay-options.ts'

/** What `relay.stats` tells: of the outbox as a whole, and of this relay. */
export interface RelayStats extends OutboxStats {
  /** Messages that this relay has sent since it was made. */
  readonly relayed: number
  /** This relay's share of the work, of 64. */
  readonly slots: number
  /** Keys, messages without a key and topics that wait because something of them could not be sent. */
  readonly held: number
}

export interface RelayHealth {
  /** `degraded`: something is held or fails, and is tried again. `down`: it does not run. */
  readonly status: 'up' | 'degraded' | 'down'
  readonly error: MessagingError | undefined
}

export interface RelayStopOptions {
  /** How long to wait for what is being sent. What is not done by then is sent again by another relay. Default: `30s`. */
  readonly timeout?: Duration
}

const stopSchema = z.strictObject({ timeout: durationOption().default(30_000) })

interface Running {
  readonly stop: AbortController
  /** What has to end before it has stopped. */
  readonly loops: Promise<unknown>
  readonly hasStarted: boolean
}

/** Sends what is in an outbox. Made by `outbox.relay(bus)`. */
export class Relay implements AsyncDisposable {
  readonly #host: Host
  readonly #bus: Bus
  readonly #settings: RelaySettings
  readonly #events = new Emitter<RelayEvents>(relayEventNames)
  readonly #leases: Leases
  readonly #lanes: readonly Lane[]
  readonly #listener: Listener
  readonly #producers = new Map<string, Producer>()
  #running: Running | undefined
  /** What a stop has not waited for. */
  #leftBehind: Promise<unknown> | undefined
  #leaseError: MessagingError | undefined
  #slots = 0

  /** @internal Made by `outbox.relay()`; the parameters may change in any version. */
  constructor(host: Host, definitions: Definitions, bus: Bus, options: RelayOptions = {}) {
    this.#settings = parseOptions(relayOptionsSchema, options, 'relay options')
    if (typeof bus !== 'object' || bus === null || typeof bus.producer !== 'function')
      throw new ConfigurationError('relay', [{ path: 'bus', message: 'expected a bus made by connect()' }])
    this.#host = host
    this.#bus = bus
    const name = `${hostname().slice(0, 64)}-${process.pid}-${randomUUID().slice(0, 8)}`
    this.#leases = new Leases(host, name, this.#settings.lease)
    this.#listener = new Listener(host, this.#events, () => this.#wake())
    const shared = {
      ...{ host, bus, definitions, settings: this.#settings, leases: this.#leases, events: this.#events },
      pollMs: () => this.#settings.pollInterval ?? (this.#listener.isListening ? 5000 : 1000),
      producer: (source: string) => this.#producer(source),
    }
    this.#lanes = Array.from({ length: this.#settings.lanes }, (_, number) => new Lane(number, shared))
  }

  /**
   * Begins to send. Resolves when the relay has looked at the schema and has its first share of the work. What fails later is
   * tried again, and told as events.
   *
   * @throws {MessagingError} when the database cannot be used, or it is running already, or still sends what a stop has not
   *   waited for; `aborted` when it is stopped meanwhile.
   */
  async start(): Promise<void> {
    if (this.#running !== undefined) throw new MessagingError('rejected', 'The relay is running already')
    if (this.#leftBehind !== undefined) {
      const what =
        'The relay still sends what was under way when it was stopped, and beside it could not keep keys in order'
      throw new MessagingError('rejected', `${what}; start it later, or another one`, { retryable: true })
    }
    const stop = new AbortController()
    const forgetDatabase = this.#host.beforeClose(() => this.stop())
    const forgetBus = this.#bus.beforeClose(({ timeout }) => this.#sendAndStop(timeout))
    const { signal } = stop
    signal.addEventListener('abort', () => {
      forgetDatabase()
      forgetBus()
    })
    const starting = this.#host.requireReady(this.#host).then(() => this.#renew())
    this.#running = { stop, loops: starting.catch(() => {}), hasStarted: false }
    try {
      await starting
    } catch (error) {
      if (this.#running?.stop === stop) this.#running = undefined
      stop.abort()
      throw this.#host.failed(error, 'Starting the relay')
    }
    if (signal.aborted) throw new MessagingError('aborted', 'The relay was stopped while it started')
    const loops = Promise.all([
      ...this.#lanes.map((lane) => lane.run(signal)),
      this.#keepLeases(signal),
      this.#tellDepth(signal),
      this.#listener.run(signal),
    ])
    this.#running = { stop, loops, hasStarted: true }
  }

  /**
   * Sends what is under way, leaves the rest to other relays, and ends. A relay that does not run is left as it is.
   *
   * @throws {MessagingError} `timeout` when something was still being sent.
   */
  async stop(options: RelayStopOptions = {}): Promise<void> {
    const { timeout } = parseOptions(stopSchema, options, 'options of stop')
    const running = this.#running
    if (running === undefined) return
    this.#running = undefined
    running.stop.abort()
    this.#wake()
    const isDone = await within(this.#host.clock, timeout, running.loops)
    if (!isDone) {
      const forget = () => {
        this.#leftBehind = undefined
      }
      this.#leftBehind = running.loops.then(forget, forget)
      const what = `The relay was still sending after ${timeout} ms; its messages are sent again by another`
      throw new MessagingError('timeout', what, { retryable: true })
    }
    try {
      await this.#leases.end()
    } catch (error) {
      this.#events.fail('leaving the work to other relays', this.#host.failed(error, 'Ending the leases'))
    }
  }

  /** The bus closes: what its handlers have just written still goes out, if the time suffices. */
  async #sendAndStop(timeoutMs: number): Promise<void> {
    const { clock } = this.#host
    const until = clock.monotonic() + timeoutMs
    // The rest of the time is for what is under way.
    if (this.#running?.hasStarted)
      await within(clock, timeoutMs / 2, Promise.all(this.#lanes.map((lane) => lane.idle())))
    await this.stop({ timeout: Math.max(0, until - clock.monotonic()) })
  }

  /** How much is in the outbox, and what this relay does. It counts the rows. */
  async stats(): Promise<RelayStats> {
    const sum = (of: (lane: Lane) => number) => this.#lanes.reduce((total, lane) => total + of(lane), 0)
    try {
      return {
        ...(await outboxStats(this.#host.dialect, this.#host)),
        relayed: sum(({ relayed }) => relayed),
        slots: this.#leases.slots.size,
        held: sum(({ held }) => held),
      }
    } catch (error) {
      throw this.#host.failed(error, 'Counting the outbox')
    }
  }

  /** Whether it runs and nothing fails, without asking the database. */
  health(): RelayHealth {
    const error =
      this.#leaseError ?? this.#lapse ?? this.#lanes.find((lane) => lane.error !== undefined)?.error
    if (this.#running === undefined) return { status: 'down', error }
    const isHeld = this.#lanes.some(({ held }) => held > 0)
    return { status: error !== undefined || isHeld ? 'degraded' : 'up', error }
  }

  /** A renewal that gets no answer does not fail either. */
  get #lapse(): MessagingError | undefined {
    if (this.#running === undefined || !this.#leases.haveRunOut) return undefined
    const what = `The relay could not renew its leases within ${this.#settings.lease} ms, so it sends nothing`
    const next = 'See whether the database answers, and whether the pool has a connection left'
    return new MessagingError('timeout', `${what}. ${next}`, { retryable: true })
  }

  /**
   * Listens to events.
   *
   * @example
   * relay.on('parked', ({ type, id, error }) => alert(`${type} ${id}: ${error.message}`))
   *
   * @throws {ConfigurationError} when there is no such event, or the listener is no function.
   */
  on<Name extends keyof RelayEvents>(name: Name, listener: (event: RelayEvents[Name]) => void): this {
    this.#events.on(name, listener)
    return this
  }

  off<Name extends keyof RelayEvents>(name: Name, listener: (event: RelayEvents[Name]) => void): this {
    this.#events.off(name, listener)
    return this
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #wake(): void {
    for (const lane of this.#lanes) lane.wake()
  }

  #producer(source: string): Producer {
    const known = this.#producers.get(source)
    if (known !== undefined) return known
    // Sources may be generated; a producer costs little.
    if (this.#producers.size >= 1000) this.#producers.clear()
    const producer = this.#bus.producer({ source })
    this.#producers.set(source, producer)
    return producer
  }

  async #renew(): Promise<void> {
    await this.#leases.renew(async () => {
      await Promise.all(this.#lanes.map((lane) => lane.settled()))
    })
    const { size } = this.#leases.slots
    if (size === this.#slots) return
    this.#slots = size
    this.#events.emit('share', { slots: size })
    this.#wake()
  }

  async #keepLeases(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(this.#host.clock, this.#settings.lease / 5, signal)
      if (signal.aborted) return
      try {
        await this.#renew()
        this.#leaseError = undefined
      } catch (error) {
        const what = 'renewing the leases of the relay'
        this.#leaseError = this.#host.failed(error, what)
        this.#events.fail(what, this.#leaseError)
      }
    }
  }

  async #tellDepth(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(this.#host.clock, this.#settings.depthEvery, signal)
      if (signal.aborted || !this.#events.hasListener('depth')) continue
      try {
        this.#events.emit('depth', await outboxStats(this.#host.dialect, this.#host))
      } catch (error) {
        const what = 'counting the outbox'
        this.#events.fail(what, this.#host.failed(error, what))
      }
    }
  }
}
