import type { BenchmarkEvent } from '../event.ts'

/** What is measured of job queues. The rates count jobs. */
export const readings = ['add', 'addBulk', 'complete'] as const
export type Reading = (typeof readings)[number]

export interface JobDestination {
  readonly postgres: string
  readonly redis: string
}

/** A library with its queue at one server. Every job that was added is to be handled, and its completion stored. */
export interface JobContender {
  /** What it promises, for the report. */
  readonly guarantees: string
  setup(destination: JobDestination): Promise<JobQueue>
}

export interface JobQueue {
  /** Resolves when the job is stored. */
  add(data: BenchmarkEvent): Promise<unknown>
  /** Of any number, in one call. */
  addBulk(data: readonly BenchmarkEvent[]): Promise<unknown>
  /** Handles jobs until the result is called, which resolves when those that run have ended. */
  work(handle: (data: BenchmarkEvent) => void, concurrency: number): Promise<() => Promise<void>>
  /** How many jobs have not ended. */
  unended(): Promise<number>
  teardown(): Promise<void>
}

/** Those that keep jobs in the same server, the peer that the others are held against first. */
export const contenders: Readonly<Record<keyof JobDestination, readonly string[]>> = {
  postgres: ['pg-boss', 'bullmq-postgres', 'waybill-postgres', 'waybill-postgres-redis'],
  redis: ['bullmq', 'waybill-redis', 'waybill-redis-redis'],
}

export async function loadJobContender(name: string): Promise<JobContender> {
  const place = name.startsWith('waybill') ? `./contenders/${name}.ts` : `../../peers/src/jobs/${name}.ts`
  const module: { readonly contender: JobContender } = await import(new URL(place, import.meta.url).href)
  return module.contender
}
