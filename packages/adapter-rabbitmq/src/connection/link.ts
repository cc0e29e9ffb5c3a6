import { type DriverContext, MessagingError } from '@waybill/core/driver'
import {
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  connect,
  credentials,
  type SocketOptions,
} from 'amqplib'
import { decodeMessages } from '../client/decode-messages.ts'
import { encodeMessages } from '../client/encode-messages.ts'
import { coalesceWrites, socketClosed } from '../client/sockets.ts'
import { toDriverError } from '../errors.ts'
import type { Settings } from '../options.ts'
import { closeChannel, within } from './bounded.ts'

/** How long `close` waits for the broker's farewell before it cuts the socket. */
const farewellMs = 3000

/** Channels kept open between uses; opening and closing one takes two round trips. */
const maxIdleChannels = 4

export interface LinkEvents {
  readonly onOpened: () => void
  readonly onLost: (error: MessagingError) => void
}

/** One connection, opened when it is first needed and again when it is needed after a loss. */
export class Link {
  readonly #role: string
  readonly #settings: Settings
  readonly #context: DriverContext
  readonly #events: LinkEvents
  #model: ChannelModel | undefined
  #opening: Promise<ChannelModel> | undefined
  #socket = new AbortController()
  #blocked: string | undefined
  #idle: Channel[] = []
  #closed = false

  constructor(role: string, settings: Settings, context: DriverContext, events: LinkEvents) {
    this.#role = role
    this.#settings = settings
    this.#context = context
    this.#events = events
  }

  get model(): ChannelModel | undefined {
    return this.#model
  }

  /** Why the broker takes no messages on this connection for now. */
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
   * Runs something on a channel that nobody else uses meanwhile, because the broker closes a channel over any mistake.
   *
   * @throws {MessagingError} `timeout` when the broker does not answer; the connection is cut then.
   */
  async withChannel<Value>(what: string, use: (channel: Channel) => Promise<Value>): Promise<Value> {
    try {
      return await this.bounded(what, this.#withChannel(use))
    } catch (error) {
      throw toDriverError(error, what)
    }
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

  /** Waits for the broker's answer as long as the settings allow, then takes the connection for dead. */
  async bounded<Value>(what: string, answer: Promise<Value>): Promise<Value> {
    const { connectTimeout, responseTimeout, hosts } = this.#settings
    // Opening the connection is part of it when there is none, and has limits of its own.
    const limit =
      this.#model === undefined ? responseTimeout + connectTimeout * hosts.length : responseTimeout
    try {
      return await within(this.#context.clock, limit, what, answer)
    } catch (error) {
      if (MessagingError.is(error) && error.code === 'timeout') this.cut()
      throw error
    }
  }

  /** For a broker that does not answer any more: whatever is under way fails at once. */
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
      await within(this.#context.clock, farewellMs, 'Closing', gone).catch(() => undefined)
    }
    this.cut()
    await this.#opening?.catch(() => undefined)
    if (ended !== undefined)
      await within(this.#context.clock, farewellMs, 'Closing', ended).catch(() => undefined)
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
    let failure: MessagingError | undefined
    for (const { host, port } of this.#settings.hosts) {
      if (this.#closed || signal?.aborted) break
      try {
        return this.#adopt(await this.#connectTo(host, port, signal))
      } catch (error) {
        failure = toDriverError(
          error,
          `Connecting to RabbitMQ at ${host}:${port}, virtual host ${this.#settings.virtualHost}, failed`,
          {
            stage: 'connecting',
          },
        )
        if (!failure.retryable) throw failure
      }
    }
    throw failure ?? new MessagingError('aborted', 'Connecting to RabbitMQ was given up')
  }

  async #connectTo(host: string, port: number, signal: AbortSignal | undefined): Promise<ChannelModel> {
    const settings = this.#settings
    const socket = new AbortController()
    this.#socket = socket
    const onAbort = () => socket.abort()
    // Two limits: amqplib's own is one for silence, and says so; this one holds for a peer that trickles.
    const cancel = this.#context.clock.after(settings.connectTimeout + 500, onAbort)
    signal?.addEventListener('abort', onAbort, { once: true })
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
      return await connect(
        {
          protocol: settings.isTls ? 'amqps' : 'amqp',
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
    } finally {
      cancel()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  #adopt(model: ChannelModel): ChannelModel {
    coalesceWrites(model)
    encodeMessages(model)
    decodeMessages(model)
    const socket = this.#socket
    let reason: Error | undefined
    model.on('error', (error) => {
      reason = error
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

  #onUnblocked(): void {
    if (this.#blocked === undefined) return
    this.#blocked = undefined
    this.#context.emit({ type: 'unblocked' })
  }
}
