import type { Bus, Group, Topic } from '@waybill/core'
import { ConfigurationError, type Duration } from '@waybill/core/driver'
import { durationOption } from '@waybill/core/driver-kit'
import { z } from 'zod'
import type { CountedOutbox, MeasuredJobs } from './parts.ts'

/** What is counted at the broker and in databases, and what that may cost. */
export interface FiguresOptions {
  /** The groups they declare are counted: what waits, is in flight, delayed, dead and behind. Default: none. */
  readonly topics?: readonly Topic[]
  /** Further groups that are counted, made by `bus.group`. Default: none. */
  readonly groups?: readonly Group[]
  /** Outboxes or relays that are counted, by a name for them. Default: none. */
  readonly outboxes?: Readonly<Record<string, CountedOutbox>>
  /** The jobs of stores, made by `openJobs`, by a name for them: counted, and each addition and attempt measured. Default: none. */
  readonly jobs?: Readonly<Record<string, MeasuredJobs>>
  /** How old a count may be before the broker is asked again, however often somebody reads. Default: 10 s. */
  readonly maxAge?: Duration
  /** How long a read waits for the broker and the databases; what has not answered by then is absent. Default: 5 s. */
  readonly timeout?: Duration
}

function having<Value>(names: readonly string[], expected: string) {
  return z.custom<Value>(
    (value) => typeof value === 'object' && value !== null && names.every((name) => name in value),
    expected,
  )
}

const nameSchema = z
  .string()
  .regex(/^[\w.-]{1,64}$/, 'expected a name of 1 to 64 letters, digits, ".", "_" or "-"')

/** @throws {ConfigurationError} when there is neither a bus nor anything else to measure. */
export function requireMeasured(
  bus: Bus | undefined,
  { jobs, outboxes }: Pick<FiguresOptions, 'jobs' | 'outboxes'>,
): void {
  const hasOthers = [jobs, outboxes].some((each = {}) => Object.keys(each).length > 0)
  if (bus !== undefined || hasOthers) return
  const message = 'expected a bus, or jobs or outboxes to measure without one'
  throw new ConfigurationError('metrics', [{ path: 'bus', message }])
}

/** The fields of `FiguresOptions`, for schemas of options that have them. Durations come out in milliseconds. */
export const figuresFields = () => ({
  topics: z.array(having<Topic>(['name', 'groups'], 'expected a topic made by defineTopic()')).default([]),
  groups: z
    .array(having<Group>(['topic', 'name', 'stats'], 'expected a group made by bus.group()'))
    .default([]),
  outboxes: z
    .record(
      nameSchema,
      having<CountedOutbox>(['stats'], 'expected an outbox or a relay: an object with stats()'),
    )
    .default({}),
  jobs: z
    .record(
      nameSchema,
      having<MeasuredJobs>(['counts', 'workerHealth', 'use'], 'expected what openJobs() makes'),
    )
    .default({}),
  maxAge: durationOption({ min: 0 }).default(10_000),
  timeout: durationOption({ min: 1, max: 60_000 }).default(5000),
})
