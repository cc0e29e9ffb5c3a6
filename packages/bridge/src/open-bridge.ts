import { type Bus, ConfigurationError, type Consumer, connect, type Topic } from '@waybill/core'
import { systemClock } from '@waybill/core/driver'
import { Bridge, type Lane } from './bridge.ts'
import { noCounts } from './counts.ts'
import { isUndecoded } from './is-undecoded.ts'
import { type BridgeOptions, type ParsedBridge, parseBridgeOptions } from './options.ts'
import { Passage } from './passage.ts'
import { placeOf } from './places.ts'
import { Reporter } from './reporter.ts'
import { type BridgedTopic, bridgedTopics } from './topics.ts'

/**
 * Opens a bridge: everything that is sent to the topics at one broker is sent to the other too, as it travelled, until the
 * bridge is closed. At least once; nothing is settled at the source before the target has confirmed it.
 *
 * @example
 * const bridge = await openBridge({
 *   from: 'redis://localhost',
 *   to: { url: 'kafka://localhost', native: { kafka: { ssl: true } } },
 *   topics: ['orders', 'payments'],
 *   on: { refused: ({ topic, message, error }) => log.warn(topic, message?.id, error?.message) },
 * })
 * process.once('SIGTERM', () => bridge.close())
 *
 * @throws {ConfigurationError} listing every problem of the options.
 * @throws {MessagingError} `topology-missing`, `topology-mismatch`, `unsupported`, and what `connect` throws.
 */
export async function openBridge(options: BridgeOptions): Promise<Bridge> {
  const parsed = parseBridgeOptions(options)
  const reporter = new Reporter(parsed.on)
  const opened: Bus[] = []
  const open = async (side: 'from' | 'to', provision: 'create' | 'none') => {
    const { name, ...end } = parsed[side]
    const bus = await connect({ ...end, provision, console: false, on: reporter.listeners(side) })
    opened.push(bus)
    return { bus, place: name ?? placeOf(bus.driver, end.url) }
  }
  try {
    // A group whose place the bridge takes is left as it is: what it keeps and asks for is the application's.
    const from = await open('from', parsed.takesPlace ? 'none' : 'create')
    const to = await open('to', 'create')
    requireTwo(from.place, to.place)
    const topics = await bridgedTopics(from.bus, to.bus, parsed)
    await to.bus.provision(topics.map((topic) => topic.to))
    const lanes = topics.map((topic) => laneOf(topic, from, to, parsed, reporter))
    reporter.watch(from.bus, lanes)
    await Promise.all(lanes.map(({ consumer }) => consumer.start()))
    return new Bridge({ from: from.bus, to: to.bus, group: parsed.group, lanes })
  } catch (error) {
    await Promise.all(opened.map((bus) => bus.close({ timeout: 0 })))
    throw error
  }
}

function requireTwo(from: string, to: string): void {
  if (from !== to) return
  const message = `both ends are ${from}; if they are two brokers, give each a name`
  throw new ConfigurationError('bridge options', [{ path: 'to', message }])
}

interface End {
  readonly bus: Bus
  readonly place: string
}

function laneOf(topic: BridgedTopic, from: End, to: End, options: ParsedBridge, reporter: Reporter): Lane {
  const passage = new Passage({
    ...{ clock: systemClock, from: from.place, to: to.place, topic: topic.to, maxHops: options.maxHops },
    // Of a group whose place the bridge takes, the target may have had the message, and nobody have handled it.
    leavesOutLoops: !options.takesPlace,
    producer: to.bus.producer({ source: 'bridge' }),
    // Where order counts, nothing may overtake.
    canPrioritize: to.bus.capabilities.priority && !topic.to.ordered,
    onTrouble: (what, error) => reporter.failed(what, error),
  })
  const counts = noCounts()
  const consumer = consumerOf(from.bus, topic.from, options).on(topic.from, '#', async (message, context) => {
    if (!isUndecoded(message)) throw new Error('The source was not read as it travels')
    const outcome = await passage.take(message, context)
    counts[outcome] += 1
    reporter.tell(outcome, { topic: topic.from.name, message })
  })
  return { ...topic, counts, passage, consumer }
}

/** How many messages of a partition are held: RabbitMQ takes so many back at once in their order when a bridge is closed. */
const heldOfPartition = 16

/** Brokers that do not divide a topic hold back a key by themselves. */
const leastHeld = 64

function consumerOf(
  from: Bus,
  { ordered, partitions }: Topic,
  { group, fromBeginning, concurrency, lease }: ParsedBridge,
): Consumer {
  // Bodies of any size are held: no more than are on their way, and the next ones.
  const wished = ordered ? Math.max(leastHeld, heldOfPartition * partitions) : 2 * concurrency
  return from.consumer(group, {
    allowUndeclaredGroup: true,
    concurrency,
    lease,
    prefetch: Math.min(wished, from.capabilities.maxPrefetch),
    // A bridge that dies says nothing about the messages it had in hand.
    maxDeliveries: Number.MAX_SAFE_INTEGER,
    ...(fromBeginning && { from: 'earliest' }),
  })
}
