import { type DriverContext, MessagingError } from '@waybill/core/driver'
import { bounded } from '@waybill/core/driver-kit'
import {
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  connect,
  credentials,
  type SocketOptions,
} from '../client/amqplib.ts'
import { encodeMessages } from '../client/encode-messages.ts'
import { isChannelGone } from '../client/faults.ts'
import { coalesceWrites, socketClosed } from '../client/sockets.ts'
import { toConnectError, toDriverError } from '../errors.ts'
import type { RabbitmqSettings } from '../options.ts'
import { closeChannel } from './close-channel.ts'
import { firstToAnswer } from './first-to-answer.ts'

/** How long `close` waits for the broker's close-ok before it destroys the socket. */
const farewellMs = 3000

/** Channels kept open between uses; opening and closing one takes two round trips. */
const maxIdleChannels = 4

type Host = RabbitmqSettings['hosts'][number]

/** An open connection, and what destroys its socket. */
interface Connected {
  readonly model: ChannelModel
  readonly socket: AbortController
  readonly host: Host
}

export interface LinkEvents {
  readonly onOpened: () => void
  readonly onLost: (error: MessagingError) => void
}

/** One connection, opened when it is first needed and again when it is needed after a loss. */
export class Link {
  readonly #role: string
  readonly #settings: RabbitmqSettings
  readonly #context: DriverContext
  readonly #events: LinkEvents
  #model: ChannelModel | undefined
  #opening: Promise<ChannelModel> | undefined
  #socket = new AbortController()
  /** Where the connection is, or was last. */
  #host: Host | undefined
  /** Why the connection was lost, in the broker's or the system's words. */
  #lossReason: Error | undefined
  #blocked: string | undefined
  #idle: Channel[] = []
  #closed = false
  #hasWarned = false

  constructor(role: string, settings: RabbitmqSettings, context: DriverContext, events: LinkEvents) {
    this.#role = role
    this.#settings = settings
    this.#context = context
    this.#events = events
  }

  get model(): ChannelModel | undefined {
    return this.#model
  }

  /** Why the broker is blocking publishers, if it does. */
  get blocked(): string | undefined {
    return this.#blocked
  }

  async open(signal?: AbortSignal): Promise<ChannelModel> {
    if (this.#model !== undefined) return this.#model
    if (this.#closed) throw new MessagingError('closed', 'The connection to RabbitMQ is closed')
    this.#opening ??= this.#connect(signal).finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  /** A channel whose errors are the caller's to see through its own `error` and `close` listeners. */
  async channel(): Promise<Channel> {
    return this.#silenced(async (model) => model.createChannel())
  }

  async confirmChannel(): Promise<ConfirmChannel> {
    return this.#silenced(async (model) => model.createConfirmChannel())
  }

  /**
   * Runs something on a channel that nobody else uses at that time, because the broker closes a channel after any mistake.
   *
   * @throws {MessagingError} `timeout` when the broker does not answer; the connection is cut then.
   */
  async withChannel<Value>(what: string, use: (channel: Channel) => Promise<Value>): Promise<Value> {
    try {
      return await this.bounded(what, this.#withChannel(use))
    } catch (error) {
      throw toDriverError(this.#reasonOf(error), what)
    }
  }

  /** amqplib only says that a channel closed with its connection; the connection knows why. */
  #reasonOf(error: unknown): unknown {
    return isChannelGone(error) && this.#lossReason !== undefined ? this.#lossReason : error
  }

  async #withChannel<Value>(use: (channel: Channel) => Promise<Value>): Promise<Value> {
    const channel = this.#idle.pop() ?? (await this.#idleChannel())
    try {
      const value = await use(channel)
      if (this.#idle.length < maxIdleChannels) this.#idle.push(channel)
      else await closeChannel(channel)
      return value
    } catch (error) {
      await closeChannel(channel)
      throw error
    }
  }

  async #idleChannel(): Promise<Channel> {
    const channel = await this.channel()
    channel.on('close', () => {
      this.#idle = this.#idle.filter((idle) => idle !== channel)
    })
    return channel
  }

  /** Waits for the broker's answer as long as the settings allow; after that the connection counts as dead. */
  async bounded<Value>(what: string, answer: Promise<Value>): Promise<Value> {
    const { connectTimeout, requestTimeout, hosts } = this.#settings
    // Opening the connection is part of it when there is none, and has limits of its own.
    const timeoutMs =
      this.#model === undefined ? requestTimeout + connectTimeout * hosts.length : requestTimeout
    try {
      return await bounded(answer, { clock: this.#context.clock, timeoutMs, what })
    } catch (error) {
      if (MessagingError.is(error) && error.code === 'timeout') this.cut()
      throw error
    }
  }

  /** For a broker that has stopped answering: every pending call fails at once. */
  cut(): void {
    this.#socket.abort()
  }

  async close(): Promise<void> {
    this.#closed = true
    const model = this.#model
    const ended = model === undefined ? undefined : socketClosed(model)
    if (model !== undefined) {
      const gone = new Promise<void>((resolve) => {
        model.once('close', () => resolve())
        model.close().then(resolve, () => resolve())
      })
      await this.#farewell(gone)
    }
    this.cut()
    await this.#opening?.catch(() => undefined)
    if (ended !== undefined) await this.#farewell(ended)
  }

  async #farewell(end: Promise<unknown>): Promise<void> {
    const { clock } = this.#context
    await bounded(end, { clock, timeoutMs: farewellMs, what: 'Closing' }).catch(() => undefined)
  }

  async #silenced<Kind extends Channel>(create: (model: ChannelModel) => Promise<Kind>): Promise<Kind> {
    const model = await this.open()
    try {
      const channel = await create(model)
      // An `error` event without a listener would be thrown at the connection; `close` follows and is heard.
      channel.on('error', () => undefined)
      return channel
    } catch (error) {
      throw toDriverError(error, 'Opening a channel failed')
    }
  }

  async #connect(signal: AbortSignal | undefined): Promise<ChannelModel> {
    const attempt = new AbortController()
    this.#socket = attempt
    const signals = signal === undefined ? [attempt.signal] : [attempt.signal, signal]
    try {
      const connected = await firstToAnswer<Host, Connected>({
        hosts: this.#hostsInOrder(),
        clock: this.#context.clock,
        connect: (host, stop) => this.#connectTo(host, stop),
        isFinal: (error) => MessagingError.is(error) && !error.retryable,
        discard: ({ socket }) => socket.abort(),
        signal: AbortSignal.any(signals),
      })
      return this.#adopt(connected)
    } catch (error) {
      if (this.#closed) throw new MessagingError('closed', 'The connection to RabbitMQ is closed')
      throw error
    }
  }

  /** In random order, so that clients spread over a cluster; after a loss the host that failed us comes last. */
  #hostsInOrder(): readonly Host[] {
    const ranked = this.#settings.hosts.map((host) => ({
      host,
      rank: host === this.#host ? 1 : Math.random(),
    }))
    return ranked.sort((left, right) => left.rank - right.rank).map(({ host }) => host)
  }

  async #connectTo(where: Host, stop: AbortSignal): Promise<Connected> {
    const { host, port } = where
    const settings = this.#settings
    const socket = new AbortController()
    const onAbort = () => socket.abort()
    // Two limits: amqplib's own timeout is for a silent peer; this one also stops a peer that sends a few bytes now and
    // then.
    const cancel = this.#context.clock.after(settings.connectTimeout + 500, onAbort)
    if (stop.aborted) onAbort()
    else stop.addEventListener('abort', onAbort, { once: true })
    // amqplib hands these on to `net.connect` and `tls.connect`, which know `signal` too.
    const options: SocketOptions & { readonly signal: AbortSignal } = {
      // Otherwise Nagle's algorithm holds small frames back for up to 40 ms.
      noDelay: true,
      timeout: settings.connectTimeout,
      clientProperties: {
        connection_name: `${settings.connectionName} ${this.#role} ${this.#context.instance}`,
      },
      ...(settings.authentication === 'external' && { credentials: credentials.external() }),
      ...settings.tls,
      signal: socket.signal,
    }
    try {
      const model = await connect(
        {
          protocol: settings.tls === undefined ? 'amqp' : 'amqps',
          hostname: host,
          port,
          // amqplib decodes it once more.
          vhost: encodeURIComponent(settings.virtualHost),
          heartbeat: Math.round(settings.heartbeat / 1000),
          ...(settings.username !== undefined && { username: settings.username }),
          ...(settings.password !== undefined && { password: settings.password }),
        },
        options,
      )
      return { model, socket, host: where }
    } catch (error) {
      throw toConnectError(error, { address: `${host}:${port}`, settings })
    } finally {
      cancel()
      stop.removeEventListener('abort', onAbort)
    }
  }

  #adopt({ model, socket, host }: Connected): ChannelModel {
    this.#socket = socket
    this.#host = host
    this.#lossReason = undefined
    coalesceWrites(model)
    if (!encodeMessages(model)) this.#warnOfClient()
    let reason: Error | undefined
    model.on('error', (error) => {
      reason = error
      this.#lossReason = error
    })
    model.on('blocked', (why) => {
      this.#blocked = why
      this.#context.emit({ type: 'blocked', reason: why })
    })
    model.on('unblocked', () => this.#onUnblocked())
    model.on('close', (error) => {
      this.#model = undefined
      this.#onUnblocked()
      // amqplib only ends the socket, which a dead peer never answers.
      if (reason !== undefined) socket.abort()
      if (!this.#closed) {
        this.#events.onLost(
          toDriverError(reason ?? error ?? new Error('closed'), 'The connection to RabbitMQ was lost'),
        )
      }
    })
    this.#model = model
    if (this.#closed) void model.close().catch(() => undefined)
    else this.#events.onOpened()
    return model
  }

  #warnOfClient(): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    const message =
      'This version of amqplib encodes messages differently from those that the adapter knows, so its own encoder is used: sends take more CPU time, and nothing else changes'
    this.#context.emit({ type: 'warning', message })
  }

  #onUnblocked(): void {
    if (this.#blocked === undefined) return
    this.#blocked = undefined
    this.#context.emit({ type: 'unblocked' })
  }
}
