import type { ScheduleSnapshot, Schedules } from '@waybill/jobs'
import type { CommandFile } from '../../cli.ts'
import { exitCodes } from '../../failures/exit-codes.ts'
import { UsageError } from '../../failures/usage-error.ts'
import { formatDuration, formatTime } from '../../output/format.ts'
import { legible } from '../../output/legible.ts'
import type { Column } from '../../output/table.ts'
import { scheduleToJson } from './job-json.ts'
import { withStore } from './with-store.ts'

const columns: readonly Column<ScheduleSnapshot>[] = [
  { title: 'schedule', text: ({ id }) => id },
  { title: 'name', text: ({ name }) => name },
  { title: 'when', text: whenOf },
  { title: 'last', text: ({ lastAt }) => formatTime(lastAt) },
  { title: 'next', text: ({ nextAt, isPaused }) => (isPaused ? 'paused' : formatTime(nextAt)) },
]

export const schedules: CommandFile = (cli) =>
  withStore(
    cli
      .command('schedules', 'Lists schedules; pauses, resumes or removes one', [
        'waybill jobs schedules --store postgres://localhost/shop',
        'waybill jobs schedules --pause nightly-report',
      ])
      .option('--pause <id>', 'makes no runs of it')
      .option('--resume <id>', 'makes runs of it again')
      .option('--remove <id>', 'removes it; a process that upserts it makes it anew')
      .option('-y, --yes', 'does not ask before it is removed'),
  ).action(({ pause, resume, remove, yes, ...store }) =>
    cli.run(async (session) => {
      const changes = [
        { id: pause, done: 'paused', apply: (all: Schedules, id: string) => all.pause(id) },
        { id: resume, done: 'resumed', apply: (all: Schedules, id: string) => all.resume(id) },
        { id: remove, done: 'removed', apply: (all: Schedules, id: string) => all.remove(id) },
      ].flatMap(({ id, ...change }) => (id === undefined ? [] : [{ id, ...change }]))
      if (changes.length > 1) throw new UsageError('Give one of --pause, --resume and --remove')
      const { schedules: all } = await session.jobs(store)
      const [change] = changes
      if (change === undefined) {
        const count = await session.output.list(columns, schedulesOf(all), scheduleToJson)
        if (count === 0 && !session.output.isJson) session.output.note('There are no schedules.')
        return undefined
      }
      const { id, done, apply } = change
      if (remove !== undefined) await session.confirm(`Remove the schedule ${legible(id)}?`, yes)
      const isDone = await apply(all, id)
      await session.output.result(
        { id, [done]: isDone },
        legible(
          isDone ? `The schedule ${id} is ${done}.` : `There is no schedule ${id} that can be ${done}.`,
        ),
      )
      return isDone ? undefined : exitCodes.failed
    }),
  )

async function* schedulesOf(all: Schedules): AsyncGenerator<ScheduleSnapshot, undefined> {
  for (let after: string | undefined; ; ) {
    const page = await all.list(after === undefined ? {} : { after })
    yield* page
    after = page.at(-1)?.id
    if (after === undefined) return undefined
  }
}

function whenOf({ cron, timeZone, everyMs, at }: ScheduleSnapshot): string {
  if (cron !== undefined) return timeZone === undefined ? cron : `${cron}, ${timeZone}`
  return everyMs === undefined ? formatTime(at) : `every ${formatDuration(everyMs)}`
}
