import type { MessageDefinition } from '@waybill/core'
import { parseOptions } from '@waybill/core/driver'
import { z } from 'zod'
import type { NewJob } from '../book/new-job.ts'
import type { JobDefinition } from '../definition.ts'
import type { AddOptions } from '../jobs-options.ts'
import { newJob, newMessage } from '../new-jobs.ts'
import { type ScheduleRow, type ScheduleSnapshot, snapshotOfSchedule } from '../schedule.ts'
import type { JobStore } from '../store.ts'
import type { ScheduleBook } from './schedule-book.ts'
import { parseTimes, runAfter, type ScheduleTimes } from './schedule-spec.ts'

export interface SchedulesHost {
  readonly store: JobStore
  readonly book: ScheduleBook
  /** From now on this process sends what such a schedule makes. */
  serve(definition: JobDefinition | MessageDefinition): void
}

const idSchema = z
  .string()
  .regex(/^[A-Za-z0-9][\w.:/-]{0,127}$/, 'expected 1 to 128 letters, digits, ".", "_", ":", "/" or "-"')

const pageSchema = z.strictObject({
  limit: z.int().min(1).max(1000).default(100),
  after: z.string().default(''),
})

const countSchema = z.int().min(1).max(1000)

/** Adds jobs, or sends messages, at times. Reached by `jobs.schedules`; every process with open jobs lets schedules run. */
export class Schedules {
  readonly #host: SchedulesHost

  /** @internal Made by `openJobs`; the parameters may change in any version. */
  constructor(host: SchedulesHost) {
    this.#host = host
  }

  /**
   * Makes a schedule, or changes it. Any number of processes may do so at each start: what is the same stays as it is. A run is a job
   * with the id `schedule:ID:TIME`, or a message with that id, and there is one for each time, however many processes there are.
   *
   * ```ts
   * await jobs.schedules.upsert('daily-report', { cron: '0 8 * * 1-5', timeZone: 'Europe/Berlin' }, SendReport, { to: 'all' })
   * await jobs.schedules.upsert('tidy', { every: '10m' }, TidyUp, {})
   * await jobs.schedules.upsert('nightly', { cron: '0 0 3 * * *' }, OrderReport, {}) // a message of defineMessage
   * ```
   *
   * @throws {InvalidMessageError} listing every problem of the data.
   * @throws {ConfigurationError} with every problem of the rest.
   */
  async upsert<Input, Data, Returned, Output, Progress>(
    id: string,
    times: ScheduleTimes,
    definition: JobDefinition<Input, Data, Returned, Output, Progress>,
    data: NoInfer<Input>,
    options?: Pick<AddOptions, 'priority' | 'attempts' | 'removeAfter'>,
  ): Promise<ScheduleSnapshot>
  async upsert<Input>(
    id: string,
    times: ScheduleTimes,
    definition: MessageDefinition<Input>,
    data: NoInfer<Input>,
  ): Promise<ScheduleSnapshot>
  async upsert(
    id: string,
    times: ScheduleTimes,
    definition: JobDefinition | MessageDefinition,
    data: unknown,
    options: Pick<AddOptions, 'priority' | 'attempts' | 'removeAfter'> = {},
  ): Promise<ScheduleSnapshot> {
    parseOptions(idSchema, id, 'id of a schedule')
    const stored = parseTimes(times, `schedule ${id}`)
    const { job } =
      typeof definition === 'object' && definition !== null && 'topic' in definition
        ? await newMessage(definition, data)
        : await newJob(definition, data, options)
    const row = await this.#host.book.put(id, { times: stored, job: templateOf(job) })
    this.#host.serve(definition)
    return snapshotOfSchedule(row)
  }

  /**
   * Schedules by id, a page at a time: `after` is the last id of the page before.
   *
   * ```ts
   * for (const { id, nextAt, isPaused } of await jobs.schedules.list()) console.log(id, nextAt, isPaused)
   * ```
   */
  async list(
    page: { readonly limit?: number; readonly after?: string } = {},
  ): Promise<readonly ScheduleSnapshot[]> {
    const { limit, after } = parseOptions(pageSchema, page, 'page of schedules')
    return (await this.#host.store.schedules(limit, after)).map(snapshotOfSchedule)
  }

  /**
   * When times of yours would run next, without a schedule.
   *
   * ```ts
   * const dates = jobs.schedules.next({ cron: '0 8 * * *', timeZone: 'Europe/Berlin' }, 5)
   * ```
   *
   * @throws {ConfigurationError} with every problem.
   */
  next(times: ScheduleTimes, count = 1): readonly Date[] {
    parseOptions(countSchema, count, 'count of runs')
    const stored = parseTimes(times, 'times')
    const now = this.#host.store.clock.now()
    const runs: Date[] = []
    for (let run = runAfter(stored, now, now); run !== undefined && runs.length < count; ) {
      runs.push(new Date(run))
      run = runAfter(stored, run, now)
    }
    return runs
  }

  /**
   * Lets it make no more runs until `resume`. False: there is none.
   *
   * ```ts
   * await jobs.schedules.pause('daily-report')
   * ```
   */
  async pause(id: string): Promise<boolean> {
    return (await this.#host.book.pause(id, true)) !== undefined
  }

  /** Goes on. What its times would have made meanwhile is missed, and `missed` says what becomes of that. */
  async resume(id: string): Promise<boolean> {
    return (await this.#host.book.pause(id, false)) !== undefined
  }

  /** Removes it. The jobs that it has made stay. False: there is none. */
  async remove(id: string): Promise<boolean> {
    return await this.#host.book.remove(id)
  }
}

function templateOf({
  queue,
  name,
  data,
  priority,
  attempts,
  keepMs,
}: NewJob): ScheduleRow['details']['job'] {
  return { queue, name, data, priority, attempts, keepMs }
}
