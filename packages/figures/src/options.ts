import type { Group, Topic } from '@waybill/core'
import type { Duration } from '@waybill/core/driver'
import { durationOption } from '@waybill/core/driver-kit'
import { z } from 'zod'
import type { CountedOutbox } from './parts.ts'

/** What is counted at the broker and in databases, and what that may cost. */
export interface FiguresOptions {
  /** The groups they declare are counted: what waits, is in flight, delayed, dead and behind. Default: none. */
  readonly topics?: readonly Topic[]
  /** Further groups that are counted, made by `bus.group`. Default: none. */
  readonly groups?: readonly Group[]
  /** Outboxes or relays that are counted, by a name for them. Default: none. */
  readonly outboxes?: Readonly<Record<string, CountedOutbox>>
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

/** The fields of `FiguresOptions`, for schemas of options that have them. Durations come out in milliseconds. */
export const figuresFields = () => ({
  topics: z.array(having<Topic>(['name', 'groups'], 'expected a topic made by defineTopic()')).default([]),
  groups: z
    .array(having<Group>(['topic', 'name', 'stats'], 'expected a group made by bus.group()'))
    .default([]),
  outboxes: z
    .record(
      z.string().regex(/^[\w.-]{1,64}$/, 'expected a name of 1 to 64 letters, digits, ".", "_" or "-"'),
      having<CountedOutbox>(['stats'], 'expected an outbox or a relay: an object with stats()'),
    )
    .default({}),
  maxAge: durationOption({ min: 0 }).default(10_000),
  timeout: durationOption({ min: 1, max: 60_000 }).default(5000),
})
