import { setTimeout as sleep } from 'node:timers/promises'
import type { Group, GroupStats } from '@waybill/core'
import { createLogUpdate } from 'log-update'
import { milliseconds } from '../arguments.ts'
import type { CommandFile } from '../cli.ts'
import { eachGroup } from '../connection/each-group.ts'
import { formatCount, formatDuration } from '../output/format.ts'
import { type Column, renderTable } from '../output/table.ts'
import type { Session } from '../session.ts'

const usualIntervalMs = 2000

interface Row {
  readonly group: Group
  readonly stats: GroupStats
}

const columns: readonly Column<Row>[] = [
  { title: 'topic', text: ({ group }) => group.topic.name },
  { title: 'group', text: ({ group }) => group.name },
  { title: 'waiting', align: 'right', text: ({ stats }) => formatCount(stats.waiting) },
  { title: 'in flight', align: 'right', text: ({ stats }) => formatCount(stats.inFlight) },
  { title: 'delayed', align: 'right', text: ({ stats }) => formatCount(stats.delayed) },
  { title: 'dead', align: 'right', text: ({ stats }) => formatCount(stats.dead) },
  { title: 'lag', align: 'right', text: ({ stats }) => formatCount(lagOf(stats)) },
  {
    title: 'oldest',
    align: 'right',
    text: ({ stats: { oldestWaitingMs } }) =>
      oldestWaitingMs === undefined ? '–' : formatDuration(oldestWaitingMs),
  },
]

export const stats: CommandFile = (cli) =>
  cli
    .command('stats', 'Shows how many messages wait, are in flight, delayed and dead', [
      'waybill stats',
      'waybill stats orders billing --watch',
      "waybill stats orders --json | jq 'select(.dead > 0)'",
    ])
    .argument('[topic]', 'of this topic only')
    .argument('[group]', 'of this group only')
    .option(
      '-w, --watch [interval]',
      'shows them again and again, every 2s unless said otherwise',
      milliseconds,
    )
    .action((topic, group, { watch }) =>
      cli.run(async (session) => {
        const intervalMs = watch === true ? usualIntervalMs : watch
        if (intervalMs === undefined) await show(session, topic, group)
        else await keepShowing(session, topic, group, intervalMs)
        return undefined
      }),
    )

async function show(session: Session, topic: string | undefined, group: string | undefined): Promise<void> {
  await session.output.list(columns, await rowsOf(session, topic, group), toJson)
}

async function keepShowing(
  session: Session,
  topic: string | undefined,
  group: string | undefined,
  intervalMs: number,
): Promise<never> {
  const { output, streams, signal } = session
  // A table takes the place of the one before; elsewhere each reading is a line of its own.
  const draw = !output.isJson && streams.stdout.isTTY === true ? createLogUpdate(streams.stdout) : undefined
  for (;;) {
    const rows = await rowsOf(session, topic, group)
    const at = new Date().toISOString()
    if (draw !== undefined) draw(`${renderTable(columns, rows)}\n\n${at}; Ctrl-C ends it`)
    else await output.list(columns, rows, (row) => ({ at, ...toJson(row) }))
    await sleep(intervalMs, undefined, { signal })
  }
}

async function rowsOf(
  session: Session,
  topic: string | undefined,
  group: string | undefined,
): Promise<readonly Row[]> {
  const rows: Row[] = []
  for await (const each of eachGroup(await session.bus(), topic, group, await session.definitions())) {
    rows.push({ group: each, stats: await each.stats() })
  }
  return rows
}

function toJson({ group, stats }: Row): object {
  return {
    topic: group.topic.name,
    group: group.name,
    waiting: stats.waiting ?? null,
    inFlight: stats.inFlight ?? null,
    delayed: stats.delayed ?? null,
    dead: stats.dead ?? null,
    lag: lagOf(stats) ?? null,
    oldestWaitingMs: stats.oldestWaitingMs ?? null,
    partitions: stats.partitions ?? [],
  }
}

/** Of all partitions together; undefined on brokers without any. */
function lagOf({ partitions }: GroupStats): number | undefined {
  return partitions?.reduce((sum, { lag }) => sum + lag, 0)
}
