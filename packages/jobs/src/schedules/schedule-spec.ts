import type { Duration } from '@waybill/core'
import { ConfigurationError, parseOptions, toError } from '@waybill/core/driver'
import { durationOption } from '@waybill/core/driver-kit'
import { Cron } from 'croner'
import { z } from 'zod'
import { momentAfter } from '../book/moment.ts'
import type { StoredTimes } from '../schedule.ts'

/** When something runs: exactly one of `cron`, `every` and `at`. */
export interface ScheduleTimes {
  /** Five fields, or six with seconds first: `0 8 * * 1-5`, `30 0 8 * * *`; as croner reads them. */
  readonly cron?: string
  /** Of the cron expression, an IANA name such as `Europe/Berlin`. Default: `UTC`. */
  readonly timeZone?: string
  /** At this interval, at least 100 ms, counted from when the schedule was first made. */
  readonly every?: Duration
  /** Once. */
  readonly at?: Date
  /**
   * What becomes of runs whose time passed while nothing could run them, because every process was down or the schedule was paused.
   * `skip`: they are left out, but for one less than a minute old. `once`: the latest of them runs. `all`: each of them runs. Default:
   * `once`.
   */
  readonly missed?: 'skip' | 'once' | 'all'
}

const timesSchema = z
  .strictObject({
    cron: z.string().min(1).optional(),
    timeZone: z.string().min(1).optional(),
    every: durationOption({ min: 100 }).optional(),
    at: z.date().optional(),
    missed: z.enum(['skip', 'once', 'all']).default('once'),
  })
  .refine(({ cron, every, at }) => [cron, every, at].filter((each) => each !== undefined).length === 1, {
    error: 'expected exactly one of cron, every and at',
  })
  .refine(({ cron, timeZone }) => timeZone === undefined || cron !== undefined, {
    path: ['timeZone'],
    error: 'belongs to a cron expression',
  })

/** @throws {ConfigurationError} with every problem. */
export function parseTimes(times: ScheduleTimes, what: string): StoredTimes {
  const { cron, timeZone, every, at, missed } = parseOptions(timesSchema, times, what)
  if (cron !== undefined) {
    try {
      if (cronOf(cron, timeZone).nextRun() === null) {
        throw new ConfigurationError(what, [{ path: 'cron', message: 'it never runs' }])
      }
    } catch (error) {
      if (error instanceof ConfigurationError) throw error
      const path = /time ?zone/i.test(toError(error).message) ? 'timeZone' : 'cron'
      throw new ConfigurationError(what, [{ path, message: toError(error).message }])
    }
  }
  return { cron, timeZone, everyMs: every && Math.ceil(every), at: at?.getTime(), missed }
}

/** The first run after a moment, counted from `anchor` where it is an interval; undefined: there is none. */
export function runAfter(times: StoredTimes, after: number, anchor: number): number | undefined {
  const { cron, timeZone, everyMs, at } = times
  if (cron !== undefined) return cronOf(cron, timeZone).nextRun(new Date(after))?.getTime()
  if (everyMs !== undefined)
    return momentAfter(anchor, (Math.floor((after - anchor) / everyMs) + 1) * everyMs)
  return at !== undefined && at > after ? at : undefined
}

const crons = new Map<string, Cron>()
const mostCrons = 1000

function cronOf(cron: string, timeZone = 'UTC'): Cron {
  const name = `${timeZone} ${cron}`
  const known = crons.get(name)
  if (known !== undefined) return known
  const made = new Cron(cron, { timezone: timeZone, paused: true })
  if (crons.size >= mostCrons) crons.clear()
  crons.set(name, made)
  return made
}
