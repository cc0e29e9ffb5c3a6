import { Option } from '@commander-js/extra-typings'
import type { Jobs } from '@waybill/jobs'
import type { CommandFile } from '../../cli.ts'
import { type ExitCode, exitCodes } from '../../failures/exit-codes.ts'
import { UsageError } from '../../failures/usage-error.ts'
import { countOf } from '../../output/format.ts'
import { legible } from '../../output/legible.ts'
import type { Session } from '../../session.ts'
import { withStore } from './with-store.ts'

/** Something that is done to jobs by their ids. */
interface Change {
  /** `retried`: in results and sentences. */
  readonly done: string
  /** Resolves with false where the job's state does not allow it. */
  readonly apply: (jobs: Jobs, id: string) => Promise<boolean>
}

const retrying: Change = { done: 'retried', apply: (jobs, id) => jobs.retry(id) }
const cancelling: Change = { done: 'cancelled', apply: (jobs, id) => jobs.cancel(id) }
const promoting: Change = { done: 'promoted', apply: (jobs, id) => jobs.promote(id) }

export const retry: CommandFile = (cli) =>
  withStore(
    cli
      .command('retry', 'Lets jobs that failed or were cancelled run again, with all their attempts', [
        'waybill jobs retry mail:o-1 mail:o-2 --store postgres://localhost/shop',
        'waybill jobs retry --all --name send-mail',
      ])
      .argument('[ids...]')
      .option('--all', 'all that failed')
      .option('--name <name>', 'of all: those of this definition')
      .option('-q, --queue <name>', 'of all: those of this queue')
      .addOption(
        new Option('--state <state>', 'of all: those in this state (default: failed)').choices([
          'failed',
          'cancelled',
        ] as const),
      ),
  ).action((ids, { all, name, queue, state, ...store }) =>
    cli.run(async (session) => {
      const filter = {
        ...(name !== undefined && { name }),
        ...(queue !== undefined && { queue }),
        ...(state !== undefined && { state }),
      }
      if (all !== true && Object.keys(filter).length > 0)
        throw new UsageError('--name, --queue and --state say which of --all; add it')
      if ((all === true) === ids.length > 0) throw new UsageError('Say which jobs: give their ids, or --all')
      const jobs = await session.jobs(store)
      if (all !== true) return await change(session, jobs, ids, retrying)
      const retried = await jobs.retryAll(filter)
      await session.output.result({ retried }, sentence(retried, 'retried'))
      return undefined
    }),
  )

export const cancel: CommandFile = (cli) =>
  withStore(
    cli
      .command('cancel', 'Cancels jobs: what waits never runs, what runs gets its signal', [
        'waybill jobs cancel import:2026-11 --store postgres://localhost/shop',
      ])
      .argument('<ids...>'),
  ).action((ids, store) =>
    cli.run(async (session) => await change(session, await session.jobs(store), ids, cancelling)),
  )

export const promote: CommandFile = (cli) =>
  withStore(
    cli
      .command('promote', 'Lets delayed jobs run now', [
        'waybill jobs promote reminder:o-1 --store postgres://localhost/shop',
      ])
      .argument('<ids...>'),
  ).action((ids, store) =>
    cli.run(async (session) => await change(session, await session.jobs(store), ids, promoting)),
  )

/** Resolves with a failure if one of the jobs is in a state that does not allow it, or is not there. */
async function change(
  session: Session,
  jobs: Jobs,
  ids: readonly string[],
  { done, apply }: Change,
): Promise<ExitCode | undefined> {
  let count = 0
  const refused: { readonly id: string; readonly state: string | null }[] = []
  for (const id of new Set(ids)) {
    session.signal.throwIfAborted()
    if (await apply(jobs, id)) count += 1
    else refused.push({ id, state: (await jobs.get(id))?.state ?? null })
  }
  const others = refused.map(({ id, state }) =>
    state === null ? ` There is no job ${id}.` : ` ${id} is ${state}.`,
  )
  const text = legible(`${sentence(count, done)}${others.join('')}`)
  await session.output.result({ [done]: count, refused }, text)
  return refused.length === 0 ? undefined : exitCodes.failed
}

function sentence(count: number, done: string): string {
  return `${countOf(count, 'job')} ${count === 1 ? 'was' : 'were'} ${done}.`
}
