import type { ConnectOptions, Message, MessagingError, Topic } from '@waybill/core'
import { type Duration, parseOptions } from '@waybill/core/driver'
import { durationOption } from '@waybill/core/driver-kit'
import { z } from 'zod'

/** One of the two brokers. */
export interface BridgeEnd extends Pick<ConnectOptions, 'url' | 'adapter' | 'native' | 'timeout'> {
  /**
   * What bridges call this broker when they tell whether a message has been there. Give it where several URLs lead to one
   * broker. Default: the adapter's name and the URL's hosts and path.
   */
  readonly name?: string
}

export interface BridgeOptions {
  /** Where messages come from: a URL, or a URL with options. */
  readonly from: string | BridgeEnd
  readonly to: string | BridgeEnd
  /**
   * The topics, by name or as the application defines them. By name, the bridge looks at the brokers whether a topic is ordered
   * and how many partitions it has; a topic that the source does not have is refused.
   */
  readonly topics: readonly (string | Topic)[]
  /**
   * The bridge's own group at the source. Every other group goes on as before, so messages are mirrored. Bridges of one group
   * share the work. Default: `bridge`.
   */
  readonly group?: string
  /**
   * Takes the place of this group of the application: what waits for it at the source is moved. Instead of `group`.
   */
  readonly asGroup?: string
  /**
   * Whether a group that does not exist yet begins at the earliest message that the source still has. Needs the feature
   * `replay` there. Default: false, it begins with the next message sent.
   */
  readonly fromBeginning?: boolean
  /**
   * The groups to create at the target, so that it keeps messages for them before their first consumer starts; `same`: those
   * of the source. Default: what the topic declares, `asGroup`, or none.
   */
  readonly groups?: readonly string[] | 'same'
  /** Of topics given by name that the target does not have yet. Default: as at the source. */
  readonly partitions?: number
  /** Messages on their way at once, on each topic. Default: 100. */
  readonly concurrency?: number
  /** How soon another bridge gets what one had in hand that died, where the source has leases. Default: 30 s. */
  readonly lease?: Duration
  /** How many bridges a message may have passed before it is taken for one that goes in circles. Default: 8. */
  readonly maxHops?: number
  readonly on?: BridgeListeners
}

export interface BridgeListeners {
  /** The target has a message. */
  readonly moved?: (event: BridgeEvent) => void
  /** The target refused a message for good; it is in the dead letters of the bridge's group at the source. */
  readonly refused?: (event: BridgeEvent & { readonly error: Error | undefined }) => void
  /** A message came from the target before, and was left out. */
  readonly looped?: (event: BridgeEvent) => void
  /** A message had expired before the bridge had it, and was dropped. */
  readonly expired?: (event: BridgeEvent) => void
  /** Something failed, and is tried again. Default: process warnings. */
  readonly failure?: (event: { readonly what: string; readonly error: MessagingError }) => void
}

export interface BridgeEvent {
  readonly topic: string
  /** Undefined when nothing of it could be read. */
  readonly message: Pick<Message, 'id' | 'type' | 'key'> | undefined
}

export interface DrainedOptions {
  /** For how long nothing may have waited or arrived. Default: 2 s. */
  readonly quiet?: Duration
  /** Ends the wait; it then rejects with `aborted`. */
  readonly signal?: AbortSignal
}

export interface BridgeCloseOptions {
  /** How long messages on their way get. What is not confirmed by then goes back to the source. Default: 10 s. */
  readonly timeout?: Duration
}

/** The options as they are used. */
export interface ParsedBridge {
  readonly from: BridgeEnd
  readonly to: BridgeEnd
  readonly topics: readonly (string | Topic)[]
  readonly group: string
  readonly takesPlace: boolean
  readonly fromBeginning: boolean
  readonly groups: readonly string[] | 'same' | undefined
  readonly partitions: number | undefined
  readonly concurrency: number
  /** In milliseconds. */
  readonly lease: number
  readonly maxHops: number
  readonly on: BridgeListeners
}

const name = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
    'expected 1 to 64 letters, digits, ".", "_" or "-", starting with a letter or digit',
  )
const listener = z
  .custom<(event: never) => void>((value) => typeof value === 'function', 'expected a function')
  .optional()
const url = z.string({ error: "expected a URL such as 'redis://localhost'" }).min(1)
const end = z.union(
  [
    url.transform((text): BridgeEnd => ({ url: text })),
    z.custom<BridgeEnd>(
      (value) =>
        typeof value === 'object' && value !== null && 'url' in value && typeof value.url === 'string',
    ),
  ],
  { error: "expected a URL such as 'redis://localhost', or an object with url" },
)
const topic = z.union([
  name,
  z.custom<Topic>(
    (value) => typeof value === 'object' && value !== null && 'name' in value && 'groups' in value,
    'expected the name of a topic, or one made by defineTopic()',
  ),
])

const bridgeSchema = z
  .strictObject({
    from: end,
    to: end,
    topics: z
      .array(topic)
      .min(1, 'expected at least one topic')
      .refine(
        (all) =>
          new Set(all.map((each) => (typeof each === 'string' ? each : each.name))).size === all.length,
        'expected each topic once',
      ),
    group: name.optional(),
    asGroup: name.optional(),
    fromBeginning: z.boolean().default(false),
    groups: z
      .union([z.literal('same'), z.array(name)], { error: "expected names of groups, or 'same'" })
      .optional(),
    partitions: z.int().min(1).max(1000).optional(),
    concurrency: z.int().min(1).max(10_000).default(100),
    lease: durationOption()
      .default(30_000)
      .refine((value) => value >= 100, 'expected at least 100ms'),
    maxHops: z.int().min(1).max(100).default(8),
    on: z
      .strictObject({
        moved: listener,
        refused: listener,
        looped: listener,
        expired: listener,
        failure: listener,
      })
      .default({}),
  })
  .refine(({ group, asGroup }) => group === undefined || asGroup === undefined, {
    path: ['asGroup'],
    message: 'the bridge has one group: give group, or asGroup',
  })
  .refine(({ asGroup, fromBeginning }) => asGroup === undefined || !fromBeginning, {
    path: ['fromBeginning'],
    message: 'a group whose place the bridge takes goes on where it is; seek moves it',
  })

export const drainedSchema = z.strictObject({
  quiet: durationOption().default(2000),
  signal: z.instanceof(AbortSignal).optional(),
})

export const closeSchema = z.strictObject({ timeout: durationOption().default(10_000) })

/** @throws {ConfigurationError} with every problem. */
export function parseBridgeOptions(options: BridgeOptions): ParsedBridge {
  const { group, asGroup, groups, partitions, ...rest } = parseOptions(
    bridgeSchema,
    options,
    'bridge options',
  )
  return {
    ...rest,
    on: options.on ?? {},
    group: asGroup ?? group ?? 'bridge',
    takesPlace: asGroup !== undefined,
    groups: groups ?? (asGroup === undefined ? undefined : [asGroup]),
    partitions,
  }
}
