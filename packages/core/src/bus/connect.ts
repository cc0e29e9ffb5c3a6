import { z } from 'zod'
import type { Feature } from '../driver.ts'
import { ConsoleReport } from '../events/console-report.ts'
import { BusEmitter, type BusListeners } from '../events/events.ts'
import { type Propagation, propagationSchema } from '../handling/propagation.ts'
import { requireNode } from '../lib/node-version.ts'
import { functionSchema, lazily, parseOptions } from '../lib/validation.ts'
import { type BodyFormatOptions, bodyFormatFields, bodyFormatOf } from '../messages/body-format.ts'
import { definedTopicSchema, type Topic } from '../messages/topic.ts'
import { features, requireFeature } from '../topology/features.ts'
import type { ProvisionMode } from '../topology/provisioner.ts'
import { Bus } from './bus.ts'
import { Opening, type OpeningOptions, openingFields } from './opening.ts'

export interface ConnectOptions extends OpeningOptions, BodyFormatOptions {
  /**
   * `create` makes missing topics and groups, `verify` refuses to work without them, `none` does not look.
   * Default: `create`.
   */
  readonly provision?: ProvisionMode
  /** Features the application relies on. Connecting to a broker that lacks one fails as `unsupported`. */
  readonly requires?: readonly Feature[]
  /** Topics to provision while connecting. Others are provisioned when they are first used. */
  readonly topics?: readonly Topic[]
  /** Listeners that also hear what happens while connecting: `bus.on` comes too late for that. */
  readonly on?: BusListeners
  /**
   * Whether events that report a failure and have no listener are written to the console, each kind and reason once a
   * minute. Default: true.
   */
  readonly console?: boolean
  /** Carries traces from sends to handlers. Default: handlers pass on the trace context that their message came with. */
  readonly propagation?: Propagation
  /**
   * Where replies travel: the same for all who request and reply, not `ordered`. Default: `defineTopic('waybill-replies')`.
   */
  readonly replyTopic?: Topic
}

const connectSchema = lazily(() =>
  z.strictObject({
    ...openingFields(),
    provision: z.enum(['create', 'verify', 'none']).default('create'),
    requires: z.array(z.enum(features)).default([]),
    topics: z.array(definedTopicSchema()).default([]),
    console: z.boolean().default(true),
    on: z.record(z.string(), functionSchema().optional()).optional(),
    ...bodyFormatFields(),
    propagation: propagationSchema().optional(),
    replyTopic: definedTopicSchema()
      .refine(({ ordered }) => !ordered, 'replies have no key: the topic may not be ordered')
      .optional(),
  }),
)

/**
 * Connects to the broker that the URL names and provisions `topics`. Keeps trying for `timeout` (10 s) while the broker
 * cannot be reached.
 *
 * ```ts
 * const bus = await connect({
 *   url: process.env.WAYBILL_URL ?? 'memory:',
 *   topics: [orders],
 *   requires: ['ordered', 'delay'],
 *   on: { failure: ({ what, error }) => log.error(what, error) },
 * })
 * ```
 *
 * @throws {ConfigurationError} listing every problem of the options.
 * @throws {MessagingError} `adapter-missing`, `connection-failed`, `access-denied`, `unsupported`, `topology-missing`,
 * `topology-mismatch`, `timeout`, `aborted`.
 */
export async function connect(options: ConnectOptions): Promise<Bus> {
  requireNode(process.versions.node)
  const parsed = parseOptions(connectSchema(), options, 'connect options')
  const events = new BusEmitter(parsed.console ? new ConsoleReport().tell : undefined)
  events.onAll(options.on ?? {})
  const opening = new Opening(parsed, {
    emit: ({ type, ...event }) => events.emit(type, event),
    onFailure: (what, error) => events.emit('failure', { what, error }),
  })
  try {
    const driver = await opening.open()
    const bus = new Bus(driver, events, { ...parsed, format: bodyFormatOf(parsed) })
    try {
      for (const feature of parsed.requires) requireFeature(driver, feature, 'requires')
      await opening.keepTrying('timeout', 'The topics were not provisioned', (signal) =>
        bus.provision(parsed.topics, { signal }),
      )
      return bus
    } catch (error) {
      const closed = bus.close()
      // A caller whose time is up should not have to wait for a broker that hangs as well.
      if (!opening.signal.aborted) await closed
      throw error
    }
  } finally {
    opening.end()
  }
}
