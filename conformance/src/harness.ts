import type { Bus, ConnectOptions, Topic } from '@waybill/core'
import type { Adapter } from '@waybill/core/driver'

/**
 * What the suite must know of a broker to run its cases there. Write one for your adapter: `name`, `adapter`,
 * `connection` and `connect` are enough to start; each optional part opens further cases. Cases that lack a part are
 * skipped, with the reason printed and shown in the capability matrix.
 *
 * Everything may be called several times at once: cases run in parallel, each with topics and groups of its own.
 */
export interface Harness {
  /** The column of the capability matrix: `rabbitmq`. */
  readonly name: string
  /** The adapter under test. Cases put faults between it and core, and mutants replace it. */
  readonly adapter: Adapter
  /** The same connection as data, for child processes. */
  readonly connection: ChildConnection
  /**
   * How much slower than memory the broker is at best: delays, backoffs, leases and deadlines of the cases are multiplied
   * by it. 1 for a broker that can hold a delay of 100 ms, 10 for one that thinks in seconds. At least 1.
   */
  readonly timeScale: number
  /** The share of the messages that the heavy cases send, above 0 and at most 1. Default: 1. */
  readonly loadScale?: number
  /** How many cases run at once, unless the run says otherwise: more where they mostly wait. Default: 4. */
  readonly parallel?: number
  /** A new bus. `options` win over the harness's own; `options.adapter` replaces `adapter`. */
  connect(options?: Partial<ConnectOptions>): Promise<Bus>
  /** Whether `connection` leads other processes to the same broker. */
  readonly sharedByProcesses: boolean
  /** False for a broker that serves only topics with exactly one declared group. Default: true. */
  readonly severalGroups?: boolean
  readonly broker?: BrokerControl
  /** A TCP proxy between the SDK and the broker, one for each call. */
  openProxy?(): Promise<ProxiedConnection>
  readonly inspect?: Inspection
  readonly lowered?: LoweredLimits
  /** Connections that must fail, each for one reason: what people meet in their first five minutes. */
  readonly wrong?: WrongConnections
}

export interface WrongConnections {
  /** As a user that the broker does not know, or with a wrong password. */
  readonly credentials?: { readonly user: string; readonly options: Partial<ConnectOptions> }
  /** As a user that may connect, and nothing else; made when it is asked for, since a restart may forget users. */
  readonly rights?: () => Promise<Partial<ConnectOptions>>
  /** Where nothing listens. */
  readonly address?: { readonly address: string; readonly options: Partial<ConnectOptions> }
  /** With TLS, where the broker speaks none. */
  readonly tls?: Partial<ConnectOptions>
}

/** `connect` options that survive JSON. */
export interface ChildConnection {
  readonly url: string
  readonly native?: Readonly<Record<string, unknown>>
  /**
   * The URL of a module that exports `adapter`, for adapters that core does not find by the URL's scheme:
   * `import.meta.resolve('my-adapter')`.
   */
  readonly adapterModule?: string
}

/** The broker's process. Cases that use it run alone. Everything durable survives each of these. */
export interface BrokerControl {
  /** As an administrator would. Resolves when the broker accepts work again, at the same URL. */
  restart(): Promise<void>
  /** SIGKILL. */
  kill(): Promise<void>
  /** After `kill`. Resolves when the broker accepts work. */
  start(): Promise<void>
  /** Freezes it: connections stay open and say nothing. */
  pause(): Promise<void>
  unpause(): Promise<void>
}

export interface ProxiedConnection {
  /** What leads through the proxy: its URL, and whatever native options that needs. */
  readonly options: Partial<ConnectOptions>
  readonly proxy: ProxyControl
  close(): Promise<void>
}

/** The methods of `createProxy` of this package that the cases use. */
export interface ProxyControl {
  /** Cuts every open connection with a RST on both sides. New ones are accepted. */
  reset(): void
  /** No byte passes in either direction; connections stay open, new ones are accepted and silent. */
  blackhole(): void
  /** Ends `blackhole`. */
  heal(): void
  /** Refuses new connections; open ones stay. */
  refuse(): void | Promise<void>
  /** Ends `refuse`. */
  accept(): void | Promise<void>
}

/** A message as the broker has it. */
export interface RawMessage {
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly key?: string
}

/** The broker behind the SDK's back, through a plain client or its administration tools. */
export interface Inspection {
  /** Sends to a topic that exists, as a foreign program would; every group gets it. `type` is for brokers that route by it. */
  publishRaw?(topic: Topic, message: RawMessage & { readonly type: string }): Promise<void>
  /** What waits for the group at the broker, oldest first, as a foreign program reads it. It may consume it. */
  rawMessages?(topic: Topic, group: string): Promise<readonly RawMessage[]>
  /** False where the transport has no headers, or no binding of CloudEvents names them. Default: attributes are repeated there. */
  readonly mirrorsAttributes?: boolean
  /** How many deliveries the broker has handed to the group and holds unsettled. */
  unsettled?(topic: Topic, group: string): Promise<number>
  /** Ends the group's subscription without touching its messages: closes the channel, deletes the broker-side consumer. */
  breakSubscription?(topic: Topic, group: string): Promise<void>
  /** Makes the broker refuse writes to the dead letters of the group; the result ends it. */
  failDeadLetterWrites?(topic: Topic, group: string): Promise<() => Promise<void>>
  /** How many connections the broker has open with anybody. */
  connectionCount?(): Promise<number>
}

/** Options that lower a broker's native limit, so that a test reaches it in seconds. */
export interface LoweredLimits {
  /** The longest delay the broker is asked for in one step. */
  readonly delay?: { readonly limitMs: number; readonly options: Partial<ConnectOptions> }
  /** The largest message, of 128 KiB to 1 MiB. Without it the cases send messages of the broker's real limit. */
  readonly messageBytes?: Partial<ConnectOptions>
}
