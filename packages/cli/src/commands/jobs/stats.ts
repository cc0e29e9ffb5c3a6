import type { JobCounts } from '@waybill/jobs'
import type { CommandFile } from '../../cli.ts'
import { formatCount } from '../../output/format.ts'
import type { Column } from '../../output/table.ts'
import { states } from './states.ts'
import { withStore } from './with-store.ts'

const columns: readonly Column<JobCounts>[] = states.map((state) => ({
  title: state.replaceAll('-', ' '),
  align: 'right',
  text: (counts: JobCounts) => formatCount(counts[state]),
}))

export const stats: CommandFile = (cli) =>
  withStore(
    cli
      .command('stats', 'Counts jobs by state, all of one moment', [
        'waybill jobs stats --store postgres://localhost/shop',
        'waybill jobs stats send-mail --store redis://localhost --json',
      ])
      .argument('[name]', 'jobs of this definition only')
      .option('-q, --queue <name>', 'jobs of this queue only'),
  ).action((name, { queue, ...store }) =>
    cli.run(async (session) => {
      const jobs = await session.jobs(store)
      const counts = await jobs.counts({
        ...(name !== undefined && { name }),
        ...(queue !== undefined && { queue }),
      })
      await session.output.list(columns, [counts], (each) => each)
      return undefined
    }),
  )
