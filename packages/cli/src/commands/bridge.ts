import { setTimeout as sleep } from 'node:timers/promises'
import { type Bridge, type BridgeEnd, type BridgeStats, openBridge } from '@waybill/bridge'
import { defineTopic, type Topic } from '@waybill/core'
import { toError } from '@waybill/core/driver'
import { collect, milliseconds, positive } from '../arguments.ts'
import type { CommandFile } from '../cli.ts'
import { topicNamed } from '../connection/definitions.ts'
import { CommandFailure } from '../failures/command-failure.ts'
import { exitCodes } from '../failures/exit-codes.ts'
import { sentenceOf } from '../failures/explain-failure.ts'
import { UsageError } from '../failures/usage-error.ts'
import { formatCount } from '../output/format.ts'
import type { Column } from '../output/table.ts'
import type { Session } from '../session.ts'

interface BridgeArguments {
  readonly from: string
  readonly to: string
  readonly fromOptions?: string | undefined
  readonly toOptions?: string | undefined
  readonly fromNative?: readonly string[] | undefined
  readonly toNative?: readonly string[] | undefined
  readonly fromName?: string | undefined
  readonly toName?: string | undefined
  readonly group?: string | undefined
  readonly asGroup?: string | undefined
  readonly fromBeginning?: boolean | undefined
  readonly groups?: string | undefined
  readonly ordered?: boolean | undefined
  readonly partitions?: number | undefined
  readonly concurrency?: number | undefined
  readonly lease?: number | undefined
  readonly once?: boolean | undefined
  readonly quiet: number
  readonly interval: number
}

const columns: readonly Column<BridgeStats>[] = [
  { title: 'topic', text: ({ topic }) => topic },
  { title: 'group', text: ({ group }) => group },
  { title: 'moved', align: 'right', text: ({ moved }) => formatCount(moved) },
  { title: 'refused', align: 'right', text: ({ refused }) => formatCount(refused) },
  { title: 'left out', align: 'right', text: ({ looped }) => formatCount(looped) },
  { title: 'expired', align: 'right', text: ({ expired }) => formatCount(expired) },
  { title: 'lag', align: 'right', text: ({ waiting }) => formatCount(waiting) },
  { title: 'delayed', align: 'right', text: ({ delayed }) => formatCount(delayed) },
]

// The program is ended five seconds after it was told to.
const closeTimeout = '2s'

export const bridge: CommandFile = (cli) =>
  cli
    .command('bridge', 'Moves or mirrors topics between two brokers, byte for byte', [
      'waybill bridge --from redis://localhost --to kafka://localhost --groups same orders payments',
      'waybill bridge --from amqp://old --to kafka://new --as-group billing --once orders',
    ])
    .argument('<topic...>')
    .requiredOption('--from <url>', 'the broker that the messages come from')
    .requiredOption('--to <url>', 'the broker that they go to')
    .option('--from-options <file>', 'a module or JSON file with options of connect() for --from')
    .option('--to-options <file>', 'the same for --to')
    .option('--from-native <adapter.option=value>', "an option of the adapter of --from's broker", collect)
    .option('--to-native <adapter.option=value>', "an option of the adapter of --to's broker", collect)
    .option('--from-name <name>', 'what all bridges call that broker, where it has several URLs')
    .option('--to-name <name>', 'the same for --to')
    .option('--group <name>', 'the group of the bridge at the source (default: bridge)')
    .option('--as-group <name>', 'takes the place of this group: its backlog is moved')
    .option('--from-beginning', 'a new group begins at the earliest message the source still has')
    .option('--groups <names>', 'groups to create at the target, separated by commas, or: same')
    .option('--ordered', 'the topics are ordered, where the source cannot list them')
    .option('--partitions <number>', 'of topics that the target does not have yet', positive)
    .option('--concurrency <number>', 'messages on their way at once, a topic (default: 100)', positive)
    .option(
      '--lease <duration>',
      'how soon another bridge gets what one had that died (default: 30s)',
      milliseconds,
    )
    .option('--once', 'ends when nothing waits at the source any more')
    .option('--quiet <duration>', 'with --once: for how long nothing may have come', milliseconds, 2000)
    .option('--interval <duration>', 'how often it says how far it is', milliseconds, 10_000)
    .addHelpText(
      'after',
      `
At least once: a message is settled at the source when the target has confirmed it. Messages of a key keep their order. What
is delayed is moved when it is due. What the target refuses for good is in the dead letters of the bridge's group at the source.
What came from the target is left out. Several bridges share the work. Ctrl-C and SIGTERM let messages on their way get through
for ${closeTimeout} and give the rest back. With --once the exit code is 1 when a message was refused.`,
    )
    .action((topics, options) => cli.run((session) => run(session, topics, options)))

async function run(
  session: Session,
  topics: readonly string[],
  options: BridgeArguments,
): Promise<undefined> {
  // What is tried again while connecting ends as one sentence.
  let isOpen = false
  const made = await openBridge({
    from: await endOf(session, 'from', options),
    to: await endOf(session, 'to', options),
    topics: await topicsOf(session, topics, options),
    ...optionsOf(options),
    on: {
      refused: ({ topic, message, error }) =>
        session.output.note(`waybill: refused: ${topic} ${message?.id ?? ''}: ${error?.message}`),
      failure: ({ what, error }) => {
        if (isOpen) session.output.note(`waybill: ${what}: ${sentenceOf(error)}`)
      },
    },
  })
  isOpen = true
  session.defer(() => made.close({ timeout: closeTimeout }))
  session.output.note(
    `The bridge is open, for ${topics.join(', ')}${options.once ? '' : '; Ctrl-C ends it'}.`,
  )
  const over = new AbortController()
  const telling = keepTelling(session, made, options.interval, over.signal)
  try {
    if (options.once) await made.drained({ quiet: options.quiet, signal: session.signal })
    else await telling
  } finally {
    over.abort()
  }
  await telling
  const stats = await made.stats()
  await session.output.list(columns, stats, toJson)
  const refused = stats.reduce((sum, each) => sum + each.refused, 0)
  if (refused === 0) return undefined
  const what = `The target refused ${formatCount(refused)} messages; they are in the dead letters at the source`
  throw new CommandFailure(exitCodes.failed, what)
}

async function keepTelling(
  session: Session,
  made: Bridge,
  intervalMs: number,
  over: AbortSignal,
): Promise<void> {
  const signal = AbortSignal.any([over, session.signal])
  while (!signal.aborted) {
    await sleep(intervalMs, undefined, { signal }).catch(() => {})
    if (signal.aborted) return
    try {
      await session.output.list(columns, await made.stats(), toJson)
    } catch (error) {
      session.output.note(`waybill: figures of the source: ${sentenceOf(toError(error))}`)
    }
  }
}

async function endOf(session: Session, side: 'from' | 'to', given: BridgeArguments): Promise<BridgeEnd> {
  const { url, native, adapter, timeout } = await session.connectionTo({
    url: given[side],
    options: given[`${side}Options`],
    native: given[`${side}Native`],
  })
  const name = given[`${side}Name`]
  return {
    url,
    ...(native !== undefined && { native }),
    ...(adapter !== undefined && { adapter }),
    ...(timeout !== undefined && { timeout }),
    ...(name !== undefined && { name }),
  }
}

/** As the definitions say, if there are any; as the brokers say; or as the command line says. */
async function topicsOf(
  session: Session,
  names: readonly string[],
  { ordered, partitions }: BridgeArguments,
): Promise<readonly (string | Topic)[]> {
  const definitions = await session.definitions()
  return names.map((name) => {
    const defined = definitions && topicNamed(definitions, name)
    if (defined !== undefined) return defined
    if (ordered === undefined) return name
    return defineTopic(name, { ordered, ...(partitions !== undefined && { partitions }) })
  })
}

function optionsOf(given: BridgeArguments) {
  const { group, asGroup, fromBeginning, groups, partitions, concurrency, lease } = given
  if (group !== undefined && asGroup !== undefined)
    throw new UsageError('Give --group or --as-group, not both')
  return {
    ...(group !== undefined && { group }),
    ...(asGroup !== undefined && { asGroup }),
    ...(fromBeginning !== undefined && { fromBeginning }),
    ...(groups !== undefined && { groups: groups === 'same' ? ('same' as const) : groups.split(',') }),
    ...(partitions !== undefined && { partitions }),
    ...(concurrency !== undefined && { concurrency }),
    ...(lease !== undefined && { lease }),
  }
}

function toJson({
  topic,
  group,
  moved,
  refused,
  looped,
  expired,
  waiting,
  delayed,
  error,
}: BridgeStats): object {
  return {
    ...{ topic, group, moved, refused, leftOut: looped, expired },
    lag: waiting ?? null,
    delayed: delayed ?? null,
    error: error?.message ?? null,
  }
}
