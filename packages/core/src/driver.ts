/**
 * The contract between the portable layer and a broker. It is all that adapter authors need of this package:
 * `import { … } from '@waybill/core/driver'`.
 *
 * Core decides *what* happens and *when*: validation, batching, concurrency, order within a member, retry
 * decisions, lease renewal, dead-letter records, expiry, drain, reconnecting. A driver knows *how* its broker
 * carries it out. Rules for every method unless its comment says otherwise:
 *
 * - **Errors.** Throw `MessagingError` and nothing else, made in one table in the adapter's `errors.ts`, with the
 *   client's error as `cause`. `retryable` says whether the same call may succeed later unchanged.
 * - **No retries, no logging, no timers of your own policy.** A call that fails because there is no connection rejects with
 *   `disconnected` (retryable); core calls again with backoff and jitter. A driver reconnects when it is next called; it
 *   needs no reconnect loop.
 * - **Concurrency.** Any method may be called while another is running. `publish` runs at most
 *   `capabilities.publishParallelism` times at once for a topic, once for an ordered one; `receive` and `settle` of one subscription never overlap
 *   themselves.
 * - **Bounded.** No call waits for ever: if the broker does not answer, it rejects with `timeout` or `disconnected`.
 * - **Time** comes from `context.clock`: durations, deadlines and leases by `monotonic()`, timestamps by `now()`.
 */
import type { BrokerUrl } from './driver/broker-url.ts'
import type { Clock } from './lib/clock.ts'
import type { MessagingError } from './lib/errors.ts'

export { type BrokerUrl, parseBrokerUrl } from './driver/broker-url.ts'
export { matchesPattern } from './driver/pattern.ts'
export {
  attemptOf,
  deadLetterIdOf,
  headerNames,
  prefixing,
  replayHeaders,
} from './driver/transport-headers.ts'
export { type Clock, sleep, systemClock } from './lib/clock.ts'
export { type Duration, parseDuration, toMilliseconds } from './lib/duration.ts'
export {
  ConfigurationError,
  type ErrorCode,
  type Fate,
  type Issue,
  MessagingError,
  toError,
  toMessagingError,
} from './lib/errors.ts'
export { RepeatedTexts } from './lib/repeated-texts.ts'
export { parseOptions } from './lib/validation.ts'

/**
 * The version of this contract. It is raised whenever an adapter written for the previous version could break a promise.
 * When connecting, core refuses an adapter of another version, by name.
 */
export const contractVersion = 1

// ---------------------------------------------------------------------------------------------------------------
// Connecting

/**
 * What an adapter package exports as `adapter`: how core finds and opens a driver.
 *
 * @example
 * export const adapter: Adapter = {
 *   name: 'nats',
 *   schemes: ['nats'],
 *   contractVersion: 1,
 *   connect: async (url, context) => NatsDriver.open(parseNatsOptions(url, context.native), context),
 * }
 */
export interface Adapter {
  /** `rabbitmq`, `kafka`; also the key of its options in `connect({ native })`. */
  readonly name: string
  /** The URL schemes it serves, lower case, without colon. */
  readonly schemes: readonly string[]
  /** The version of the contract it was written for: a number, not the `contractVersion` that happens to be installed. */
  readonly contractVersion: number
  /**
   * Connects, or rejects: `invalid-options` (never retryable) with every problem of URL and native options;
   * `connection-failed` (retryable) when the broker cannot be reached; `access-denied` when it refuses us.
   * Core limits the time by `context.signal` and tries again while the user's connect timeout lasts.
   */
  connect(url: BrokerUrl, context: DriverContext): Promise<Driver>
}

export interface DriverContext {
  /** The user's `native` options for this adapter, unchecked: parse them strictly with `parseOptions`. */
  readonly native: unknown
  /** Unique to this connection; for client ids and consumer names. Letters, digits and `-`. */
  readonly instance: string
  readonly clock: Clock
  /** Fires when connecting has taken too long or is no longer wanted. */
  readonly signal: AbortSignal
  /** Reports what no caller can learn from a rejection. May be called at any time. */
  readonly emit: (event: DriverEvent) => void
}

export type DriverEvent =
  | { readonly type: 'connected' }
  | { readonly type: 'disconnected'; readonly error: MessagingError }
  /** The broker is blocking publishers (RabbitMQ's resource alarm, a full Redis). */
  | { readonly type: 'blocked'; readonly reason: string }
  | { readonly type: 'unblocked' }
  /** Something an operator should know: entries lost to trimming, a fallback in use. */
  | { readonly type: 'warning'; readonly message: string }

/** Plain data, never computed per call. Core refuses to use what is false. */
export interface Capabilities {
  /** Deliveries of one key within a group reach one member at a time, in order. */
  readonly ordered: boolean
  /** `OutboundMessage.delayMs` is honoured, durably. */
  readonly delay: boolean
  /**
   * The verdict `retry` is carried out with its delay, durably. Without it core waits in its process with the delivery in
   * hand, as it does on ordered topics, so that a crash brings the message back early and the attempt is not counted.
   */
  readonly durableRetry: boolean
  /** The verdict `release` is carried out. Without it core leaves such deliveries unsettled until the subscription ends. */
  readonly release: boolean
  /**
   * A `release` with `toOthers` lets other members of the group have the key of an ordered topic. Without it core keeps what it
   * has no handler for, and holds its key, until `unhandledAfter`.
   */
  readonly yieldsKeys: boolean
  /** `dead-letter` is carried out and `deadLetters` answers. Without it only broadcast consumers are allowed. */
  readonly deadLetters: boolean
  /** `stats` is implemented. */
  readonly stats: boolean
  /** Types can be added to an existing group's filter. Without it core asks for all types and filters on receipt. */
  readonly changesFilters: boolean
  /**
   * Deliveries in hand stay valid when a `receive` fails or its connection is lost, because their receipts or leases
   * live at the broker. Core then keeps them and calls `receive` again. Without it they are lost with the subscription.
   */
  readonly keepsDeliveries: boolean
  /** In a waiting backlog, messages of higher `priority` come first. */
  readonly priority: boolean
  /** `SubscriptionRequest.broadcast`: every instance gets each message. */
  readonly broadcast: boolean
  /** A new group may start at the earliest message the broker still has. */
  readonly replay: boolean
  /** `seek` moves a group. */
  readonly seek: boolean
  /** Deliveries are held under a lease that expires unless extended. */
  readonly lease: boolean
  /** `Delivery.crashes` rises when a consumer dies with the message in hand, and for no other reason. */
  readonly countsCrashes: boolean
  /** How late a delayed message or a retry may be at most, in milliseconds, on a healthy broker. It is never early. */
  readonly delayGranularityMs: number
  /** How many milliseconds it takes at most until a peer gets the deliveries of a member that was killed. */
  readonly redeliveryMs: number
  /**
   * The largest message users may send, in bytes, as `messageBytes` counts it. Copies for retries and dead letters carry
   * up to 20 KiB of headers more, and must still fit the broker.
   */
  readonly maxMessageBytes: number
  /** The longest delay of a send or a retry, in milliseconds; Infinity where hops make any length possible. */
  readonly maxDelayMs: number
  /** The longest lease that can be asked for, in milliseconds; Infinity without a limit or without leases. */
  readonly maxLeaseMs: number
  /** The largest `SubscriptionRequest.maxPrefetch`; Infinity without a limit. */
  readonly maxPrefetch: number
  /** How many messages core puts into one `publish` at most. */
  readonly publishBatchSize: number
  /** How many concurrent calls of `publish` core makes at most for an unordered topic. For an ordered one it is always 1. */
  readonly publishParallelism: number
}

/** The capabilities that are flags, as users name them in `requires`. */
export type Feature = {
  [Name in keyof Capabilities]: Capabilities[Name] extends boolean ? Name : never
}[keyof Capabilities]

export interface Driver {
  /** The adapter's name. For people only: core never tests it. */
  readonly name: string
  readonly capabilities: Capabilities
  /**
   * `create`: creates what is missing, idempotently, even if other processes do the same at the same time; never changes or
   * deletes what exists (a group's patterns are only ever added to). `verify`: changes nothing and reports what
   * is missing. Everything of the topology exists at the broker once this resolves, so that a message sent
   * afterwards is kept for each group. If something exists with other settings, it rejects with
   * `topology-mismatch`, naming both sides. Once the signal fires nobody waits for it: begin nothing more, and reject.
   */
  apply(topology: Topology, mode: 'create' | 'verify', signal?: AbortSignal): Promise<TopologyReport>
  /**
   * Whether the group has ever asked for each type, in the `wishes` of any `apply`, of this process or another. Called when
   * a member receives a type it has no handler for: what somebody wants goes back for others; only what nobody has ever
   * wanted is skipped. Answer i belongs to type i. Read the broker on every call: a wish that was applied before it counts.
   * A group known only by name has no wishes. If it rejects, core keeps the message.
   */
  wanted(topic: TopicSpec, group: string, types: readonly string[]): Promise<readonly boolean[]>
  /**
   * Sends a batch for one topic, at most `publishBatchSize`; split it further as the broker demands. Result i
   * belongs to message i. Resolves when the broker has taken responsibility for, or refused, each one. A message that
   * certainly did not arrive has `fate: 'not-sent'`; one whose confirmation was lost has `fate: 'unknown'`. Messages
   * of one key keep their order within the batch: on an ordered topic, the later messages of a key are withheld after one
   * of it has failed, and fail as `rejected`, retryable and `not-sent`, so that core can send them again in order.
   * Rejects only when the whole batch failed for one reason.
   */
  publish(batch: readonly OutboundMessage[]): Promise<readonly Outcome[]>
  /** The topology has been applied. Once this resolves, the next message sent will arrive. */
  subscribe(request: SubscriptionRequest): Promise<Subscription>
  deadLetters(topic: TopicSpec, group: string): DeadLetterStore
  /** Moves a group to another position of its topic. Without `capabilities.seek`: rejects `unsupported`. */
  seek(topic: TopicSpec, group: string, position: SeekPosition): Promise<void>
  stats(topic: TopicSpec, group: string): Promise<GroupStats>
  /** For operators, who know no definitions; see `Administration`. */
  readonly administration: Administration
  /** Asks the broker, within a bounded time; never rejects. */
  health(): Promise<DriverHealth>
  /** The client underneath, for what Waybill does not offer. Documented in the adapter's README. */
  native(): unknown
  /** Idempotent, bounded in time even if the broker hangs; leaves no socket, timer or broker-side consumer behind. */
  close(): Promise<void>
}

// ---------------------------------------------------------------------------------------------------------------
// Topology

export interface Topology {
  readonly topics: readonly { readonly topic: TopicSpec; readonly groups: readonly GroupSpec[] }[]
}

export interface TopicSpec {
  /** 1 to 64 of letters, digits, `.`, `_`, `-`, starting with a letter or digit. */
  readonly name: string
  readonly ordered: boolean
  /** How many keys can be handled in parallel at most, on brokers that partition ordered topics. At least 1. */
  readonly partitions: number
  /** Broker-specific settings of this topic, by adapter name, unchecked. */
  readonly native: Readonly<Record<string, unknown>>
}

export interface GroupSpec {
  /** Same rule as a topic's name. */
  readonly name: string
  /**
   * The message types to keep for the group, as patterns. Filtering at the broker is optional and saves traffic: core filters
   * on receipt. Matching too much is fine; matching too little loses messages.
   */
  readonly types: readonly string[]
  /**
   * The patterns somebody has asked for: those declared for the group on its topic, and those of its members' handlers.
   * `apply` adds them to the ones stored at the broker, where they outlive the members; `wanted` answers from there. Unlike
   * `types` they leave out what is kept only because the group was declared by name.
   */
  readonly wishes: readonly string[]
  /** Where the group starts if it does not exist yet. `earliest` only with `capabilities.replay`. */
  readonly from: 'earliest' | 'latest'
}

export interface TopologyReport {
  /** Broker-side names, for people: `queue orders.billing`. */
  readonly created: readonly string[]
  /** What does not exist, in `verify` mode; always empty in `create` mode. */
  readonly missing: readonly string[]
}

// ---------------------------------------------------------------------------------------------------------------
// Messages out

export interface OutboundMessage {
  readonly topic: TopicSpec
  readonly type: string
  readonly id: string
  /** The ordering key; on an ordered topic always present. */
  readonly key: string | undefined
  /** Must travel byte for byte. */
  readonly body: Uint8Array
  /** Empty: it has none, and is delivered without. */
  readonly contentType: string
  /**
   * CloudEvents context attributes, for headers in the spelling of the broker's CloudEvents binding. A body whose content type is
   * not `application/cloudevents+json` does not say them itself: then all of them must travel, whatever the options say.
   */
  readonly attributes: Readonly<Record<string, string>>
  /** Transport headers, which must travel verbatim. Values may be any Unicode text. */
  readonly headers: Readonly<Record<string, string>>
  /** Must not be delivered for this many milliseconds from now. 0: at once. */
  readonly delayMs: number
  /** 0 (lowest) to 9; undefined: the broker's default. Levels may be merged. */
  readonly priority: number | undefined
  /** Milliseconds since the epoch. Core drops what arrives later; the broker may drop it earlier. */
  readonly expiresAt: number | undefined
}

/** How one message of a batch, or one settlement, went. */
export type Outcome = { readonly ok: true } | { readonly ok: false; readonly error: MessagingError }

// ---------------------------------------------------------------------------------------------------------------
// Deliveries in

export interface SubscriptionRequest {
  readonly topic: TopicSpec
  readonly group: GroupSpec
  /** How many unsettled deliveries core holds, until `resize` changes it. `receive` never asks for more. */
  readonly prefetch: number
  /** The most it will ever hold: `resize` never goes above it. */
  readonly maxPrefetch: number
  /** The lease to ask for, in milliseconds, where the driver has leases. */
  readonly leaseMs: number
  /**
   * Every subscription gets each message sent from now on; none are shared, and nothing is kept after `close`. Core settles
   * broadcast deliveries with `ack` and `release` only.
   */
  readonly broadcast: boolean
}

export interface Subscription {
  /** The lease in force, in milliseconds; core extends at a third of it. Undefined: deliveries never expire. */
  readonly leaseMs: number | undefined
  /**
   * Resolves with 1 to `max` deliveries as soon as there are any, or with none when the signal fires or a poll ends without
   * any. What has already been taken from the broker when the signal fires is returned, not dropped.
   *
   * Rejects with `throttled` when the broker only asks us to slow down: core calls again with backoff and keeps what it has
   * in hand. With `capabilities.keepsDeliveries` it does the same after any retryable error. Any other error, such
   * as a lost connection, means that the subscription no longer works: core closes it, treats all its deliveries as lost,
   * applies the topology and subscribes again, with backoff.
   */
  receive(max: number, signal: AbortSignal): Promise<readonly Delivery[]>
  /**
   * Carries out the verdicts. Outcome i belongs to settlement i and says that it is durable at the broker, or why not.
   * Called with the very objects that `receive` returned, in any order. Core calls again for those that failed, whatever
   * the error, until the subscription ends: giving up would strand the message with this member. Settling a delivery that
   * is already settled, lost or of an older generation has no effect: it is `ok`, or fails with `stale` where the driver
   * can tell, so that core reports it as lost.
   */
  settle(settlements: readonly Settlement[], signal?: AbortSignal): Promise<readonly Outcome[]>
  /**
   * How many calls of `settle` may be under way at once, for drivers that let verdicts of several calls travel together. Default: 1;
   * what is decided meanwhile is in the next call.
   */
  readonly settlesAtOnce?: number
  /** Renews the leases. Deliveries that are already lost are reported through `onLost`. No effect without leases. */
  extend(deliveries: readonly Delivery[], leaseMs: number): Promise<void>
  /**
   * From now on core holds up to this many unsettled deliveries. Only for brokers that push deliveries: other drivers learn
   * from `receive` how many to fetch.
   */
  resize?(prefetch: number): void
  /**
   * Called once. Tell the listener which deliveries are no longer ours: those of revoked partitions, those with expired
   * leases, and all of them if they end with a lost connection. Core does not call `receive` while it has no room, so it
   * would not notice otherwise.
   */
  onLost(listener: (deliveries: readonly Delivery[]) => void): void
  /**
   * For drivers whose broker lets another member have keys of an ordered topic only once everything in hand of them is
   * settled. Called once. The driver tells the listener what it has in hand of such keys, again and again until they are
   * handed over. Core releases at once what no handler is running, with whatever waits behind it, so that a handover
   * never waits for a backoff; the attempts that only this process has counted are forgotten. The driver keeps what was
   * released until the rest is settled too, gives all of it back in its old order, and delivers nothing of it meanwhile.
   *
   * Also for drivers whose broker is about to divide a topic among the members anew: what no handler is running yet had
   * better begin at its next owner. With `keepsBackoffs` what backs off stays, since its key may stay here, too.
   */
  onHandover?(listener: HandoverListener): void
  /**
   * Ends the subscription and gives everything unsettled back to the group at once. Idempotent, bounded in time. Core settles
   * what it wants settled first.
   */
  close(): Promise<void>
}

/** Releases what of these deliveries no handler is running. With `keepsBackoffs` what backs off stays. */
export type HandoverListener = (
  deliveries: readonly Delivery[],
  options?: { readonly keepsBackoffs?: boolean },
) => void

/**
 * One attempt to hand one message to one member of a group. Drivers may return objects with further fields (delivery
 * tag, receipt, offset); core hands the same objects back.
 */
export interface Delivery {
  readonly body: Uint8Array
  /** Undefined where the transport has none; core then goes by the body and the headers. */
  readonly contentType: string | undefined
  /** All transport headers as text, including mirrored CloudEvents attributes in whatever spelling they came. */
  readonly headers: Readonly<Record<string, string>>
  /** Waybill's count: 1, and one more with each scheduled retry; usually `attemptOf(headers)`. */
  readonly attempt: number
  /** How often the broker has handed this copy out, this time included, so at least 1: for people. */
  readonly deliveries: number
  /**
   * How many consumers died, or lost their connection, with the message in hand: past a limit it goes to the dead letters.
   * Releases, closed subscriptions, pauses and drains never count. Where the broker counts them together, report only what
   * is certain: too few is safe. On an ordered topic a crash counts only for the first message of each key, where the broker
   * can tell: those behind it had reached no handler. Undefined: `deliveries` minus `attempt`, for brokers that count nothing
   * else.
   */
  readonly crashes?: number
  /** When it was sent according to the transport, in milliseconds since the epoch; for events that do not say it themselves. */
  readonly timestamp?: number | undefined
  /** The transport's ordering key, for messages that carry none themselves. */
  readonly key: string | undefined
  /** The transport's own id of this copy, the same at each of its deliveries; for messages that carry none themselves. */
  readonly transportId?: string | undefined
  /** What the transport calls the kind of message, such as AMQP's routing key; for messages that do not say it themselves. */
  readonly subject?: string | undefined
}

export interface Settlement {
  readonly delivery: Delivery
  readonly verdict: Verdict
}

/** How a delivery ends. */
export type Verdict =
  /** Done; must never be delivered again. */
  | { readonly kind: 'ack' }
  /**
   * Comes back to this group only, with the same body and content type and exactly these headers, no earlier than `delayMs`
   * from now. Durable, and without holding up other messages. Either a copy (copy first, then ack, or both in one step), or
   * in place where the broker can (a negative ack with a delay, a later visibility, an UPDATE), as long as the headers, with
   * attempt and failure record, are kept. Not used on ordered topics or for broadcasts: there core itself waits and holds the
   * key.
   */
  | { readonly kind: 'retry'; readonly delayMs: number; readonly headers: Readonly<Record<string, string>> }
  /**
   * Goes to the dead letters of this topic and group, as a copy with the same body and content type and exactly these headers
   * (including the failure record and `waybill-dead-letter-id`). If the copy fails, the source is not acked.
   */
  | { readonly kind: 'dead-letter'; readonly headers: Readonly<Record<string, string>> }
  /**
   * Goes back to the group at once, with `attempt` unchanged; on an ordered topic, to its old place. `toOthers`, with
   * `capabilities.yieldsKeys` on ordered topics: this member has no handler for it, so its key, or the partition the key is
   * in, had better go to another member. If there is no other, or none takes it, it comes here again.
   */
  | { readonly kind: 'release'; readonly toOthers?: boolean }

// ---------------------------------------------------------------------------------------------------------------
// Dead letters, positions, figures

export interface DeadLetterStore {
  count(): Promise<number>
  /** Oldest first, in pages as needed, consuming nothing. A letter added in the meantime may or may not be seen. */
  list(): AsyncIterable<StoredDeadLetter>
  /**
   * Sends the letters back to the failing group only, each with `replayHeaders(headers)`, and takes them off the list: copy
   * first, then remove. `all`: those that exist when the call begins. Resolves with how many were replayed; unknown ids are
   * skipped.
   */
  replay(ids: readonly string[] | 'all'): Promise<number>
  /** Removes letters for good; resolves with how many. */
  discard(ids: readonly string[] | 'all'): Promise<number>
  /**
   * Puts letters behind those that are there, for imports and edited replays, exactly as given: `list` shows them under their
   * ids, which their headers carry too. Outcome i belongs to letter i and says that it is durable, or why it was refused. One
   * that the broker cannot keep whole is refused as `too-large`, not cut; one for a group that does not exist as
   * `topology-missing`. At most `publishBatchSize`; core looks before that no id is there already. What is there all the same
   * may stay, be replaced, or stand there twice. Left out: core refuses the calls that need it as `unsupported`.
   */
  add?(letters: readonly StoredDeadLetter[]): Promise<readonly Outcome[]>
}

export interface StoredDeadLetter {
  /** `deadLetterIdOf(headers)`; for letters that the broker moved there itself, any id that stays the same. */
  readonly id: string
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, string>>
  /** The transport's ordering key, where it is known: on an ordered topic a replay goes to the place of this key. */
  readonly key?: string | undefined
}

/** `offset` is the broker's own (a Kafka offset for every partition, a stream entry id); `time` is since the epoch. */
export type SeekPosition =
  | { readonly to: 'earliest' }
  | { readonly to: 'latest' }
  | { readonly to: 'time'; readonly time: number }
  | { readonly to: 'offset'; readonly offset: string; readonly partition: number }

/** Counts of messages. A figure that the broker does not provide is undefined; some brokers' figures are approximate. */
export interface GroupStats {
  /** Ready for delivery, not yet handed out. */
  readonly waiting: number | undefined
  /** Handed out and unsettled. */
  readonly inFlight: number | undefined
  /** Not due yet: delayed sends and retries. */
  readonly delayed: number | undefined
  readonly dead: number | undefined
  /**
   * For how many milliseconds the one that has waited longest has been ready, by the broker's clock where it tells the time; 0
   * when nothing waits. On log-shaped brokers what is in hand counts as waiting. Undefined where it could only be found by
   * taking messages from the group's consumers, or at a great cost.
   */
  readonly oldestWaitingMs?: number | undefined
  /** By partition, for log-shaped brokers. */
  readonly partitions?: readonly PartitionStats[]
  /** Broker-specific figures, such as bytes of memory. */
  readonly native?: Readonly<Record<string, unknown>>
}

export interface PartitionStats {
  readonly partition: number
  readonly committed: string | undefined
  readonly end: string
  readonly lag: number
  /** The member that owns it, where the broker reports it. */
  readonly owner?: string
}

/**
 * For operators and dashboards, which know no definitions. Leave out a member that the broker cannot support: core refuses
 * the call by name. Nothing here is called except at a person's explicit request.
 */
export interface Administration {
  /** The Waybill topics that exist. */
  listTopics?(): Promise<readonly TopicSpec[]>
  /** The names of a topic's groups that exist. */
  listGroups?(topic: TopicSpec): Promise<readonly string[]>
  /** Removes the topic with all its groups, messages, retries and dead letters. It is no error if it does not exist. */
  deleteTopic?(topic: TopicSpec): Promise<void>
  /** Removes the group with its waiting messages, retries and dead letters. It is no error if it does not exist. */
  deleteGroup?(topic: TopicSpec, group: string): Promise<void>
  /** Cancels a delayed send that is not due yet; false if there is none with that id. */
  cancelDelayed?(topic: TopicSpec, id: string): Promise<boolean>
}

export interface DriverHealth {
  readonly status: 'up' | 'down'
  /** Why it is down. */
  readonly error?: MessagingError
  /** The broker's clock, in milliseconds since the epoch, where it tells. */
  readonly time?: number
  readonly details: Readonly<Record<string, unknown>>
}

/**
 * The size that core compares with `maxMessageBytes`: body, attributes and headers as UTF-8, in bytes.
 *
 * @example
 * if (messageBytes(message) > brokerLimit) return failed(new MessagingError('too-large', `Message ${message.id} is above the limit`))
 */
export function messageBytes(message: Pick<OutboundMessage, 'body' | 'attributes' | 'headers'>): number {
  let bytes = message.body.byteLength
  for (const headers of [message.attributes, message.headers]) {
    for (const name in headers) bytes += name.length + Buffer.byteLength(headers[name] ?? '')
  }
  return bytes
}
