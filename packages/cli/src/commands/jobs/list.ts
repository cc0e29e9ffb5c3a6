import { Option } from '@commander-js/extra-typings'
import type { JobListFilter, JobSnapshot, Jobs } from '@waybill/jobs'
import { positive } from '../../arguments.ts'
import type { CommandFile } from '../../cli.ts'
import { formatTime } from '../../output/format.ts'
import type { Column } from '../../output/table.ts'
import { jobToJson } from './job-json.ts'
import { states } from './states.ts'
import { withStore } from './with-store.ts'

const columns: readonly Column<JobSnapshot>[] = [
  { title: 'job', text: ({ id }) => id },
  { title: 'name', text: ({ name }) => name },
  { title: 'state', text: ({ state }) => state },
  { title: 'attempts', align: 'right', text: ({ attempt, attempts }) => `${attempt} of ${attempts}` },
  { title: 'added', text: ({ createdAt }) => formatTime(createdAt) },
  { title: 'due', text: ({ dueAt }) => formatTime(dueAt) },
  { title: 'error', text: ({ error }) => (error === undefined ? '–' : `${error.name}: ${error.message}`) },
]

// As many as the store gives at once.
const pageSize = 1000
const usualLimit = 100

export const list: CommandFile = (cli) =>
  withStore(
    cli
      .command('list', 'Lists jobs, the latest first', [
        'waybill jobs list --state failed --store postgres://localhost/shop',
        'waybill jobs list send-mail --limit 1000 --json | jq -r .error.message | sort | uniq -c',
      ])
      .argument('[name]', 'jobs of this definition only')
      .addOption(new Option('--state <state>', 'jobs in this state only').choices(states))
      .option('-q, --queue <name>', 'jobs of this queue only')
      .option('--parent <id>', 'children of this job only')
      .option('-n, --limit <number>', `so many at most (default: ${usualLimit})`, positive),
  ).action((name, { state, queue, parent, limit = usualLimit, ...store }) =>
    cli.run(async (session) => {
      const filter = {
        ...(name !== undefined && { name }),
        ...(state !== undefined && { state }),
        ...(queue !== undefined && { queue }),
        ...(parent !== undefined && { parent }),
      }
      const found = jobsOf(await session.jobs(store), filter, limit)
      const count = await session.output.list(columns, found, jobToJson)
      if (count === 0 && !session.output.isJson) session.output.note('There are no such jobs.')
      return undefined
    }),
  )

async function* jobsOf(jobs: Jobs, filter: JobListFilter, limit: number): AsyncGenerator<JobSnapshot> {
  let left = limit
  let after: string | undefined
  do {
    const size = Math.min(left, pageSize)
    const page = await jobs.list({ ...filter, limit: size, ...(after !== undefined && { after }) })
    yield* page.jobs
    left -= page.jobs.length
    after = page.next
  } while (after !== undefined && left > 0)
}
