import type { JobSnapshot } from '@waybill/jobs'
import type { CommandFile } from '../../cli.ts'
import { UsageError } from '../../failures/usage-error.ts'
import { formatTime } from '../../output/format.ts'
import { legible } from '../../output/legible.ts'
import { wholeJobToJson } from './job-json.ts'
import { withStore } from './with-store.ts'

export const show: CommandFile = (cli) =>
  withStore(
    cli
      .command('show', 'Shows a job with its data, its attempts and its log', [
        'waybill jobs show mail:o-1 --store postgres://localhost/shop',
        'waybill jobs show mail:o-1 --json | jq .history',
      ])
      .argument('<id>'),
  ).action((id, store) =>
    cli.run(async (session) => {
      const jobs = await session.jobs(store)
      const job = await jobs.get(id)
      if (job === undefined) throw new UsageError(`There is no job "${id}", or no longer`)
      await session.output.result(wholeJobToJson(job), describe(job))
      return undefined
    }),
  )

function describe(job: JobSnapshot): string {
  const { error, history, log } = job
  const lines: readonly (readonly [name: string, value: string])[] = [
    ['job', job.id],
    ['name', job.name],
    ['queue', job.queue],
    ['state', job.state],
    ['error', error === undefined ? '–' : `${error.name}: ${error.message}`],
    ['attempts', `${job.attempt} of ${job.attempts}`],
    ['progress', job.progress === undefined ? '–' : JSON.stringify(job.progress)],
    ['parent', job.parent ?? '–'],
    ['added', formatTime(job.createdAt)],
    ['due', formatTime(job.dueAt)],
    ['ended', formatTime(job.finishedAt)],
    ['data', JSON.stringify(job.data) ?? '–'],
    ['result', JSON.stringify(job.output) ?? '–'],
  ]
  return [
    ...lines.map(([name, value]) => `${name.padEnd(12)}${legible(value)}`),
    ...(history.length === 0 ? [] : ['']),
    ...history.map(
      ({ attempt, startedAt, outcome, error: why }) =>
        `attempt ${attempt}, ${formatTime(startedAt)}: ${outcome}${why === undefined ? '' : legible(`, ${why.name}: ${why.message}`)}`,
    ),
    ...(log.length === 0 ? [] : ['']),
    ...log.map(({ at, text }) => `${formatTime(at)}  ${legible(text)}`),
  ].join('\n')
}
