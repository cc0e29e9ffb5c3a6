import { z } from 'zod'
import type { WorkerHealth } from '../consuming/worker.ts'
import type { Driver, DriverHealth, GroupStats } from '../driver.ts'
import type { Clock } from '../lib/clock.ts'
import type { Duration } from '../lib/duration.ts'
import { someMillisecondsSchema } from '../lib/duration-schema.ts'
import { MessagingError, toError } from '../lib/errors.ts'
import { lazily, parseOptions } from '../lib/validation.ts'
import { answerWithin, within } from '../lib/within.ts'
import type { Provisioner } from '../topology/provisioner.ts'

export interface HealthOptions {
  /** How long the broker gets to answer. Default: 10 s. */
  readonly timeout?: Duration
  /** Whether to ask for the figures of each consumer's group, partitions and offsets among them. Default: false. */
  readonly stats?: boolean
}

/** How a consumer stands on one of its topics. */
export interface ConsumerHealth extends WorkerHealth {
  /** With `health({ stats: true })`, where the broker has any and has answered in time. */
  readonly stats?: GroupStats
}

/**
 * What `bus.health()` answers.
 *
 * - `up`: the broker answers and every consumer works.
 * - `degraded`: the broker answers, but a consumer is not receiving, cannot renew its leases, cannot settle, is stuck, or
 *   waits for its idempotency store; its `error` says which.
 * - `down`: the broker does not answer, or the bus is closed.
 */
export interface Health {
  readonly status: 'up' | 'degraded' | 'down'
  readonly driver: DriverHealth
  readonly consumers: readonly ConsumerHealth[]
}

const healthSchema = lazily(() =>
  z.strictObject({
    // What a driver gets for saying how it is, which it should have said by itself long before.
    timeout: someMillisecondsSchema().prefault('10s'),
    stats: z.boolean().default(false),
  }),
)

/** What `healthOf` needs of the bus. */
export interface HealthHost {
  readonly driver: Driver
  readonly provisioner: Provisioner
  readonly clock: Clock
  /** Asked after the driver has answered. */
  consumerHealth(): readonly WorkerHealth[]
}

/**
 * Rejects for wrong options only.
 *
 * @throws {ConfigurationError}
 */
export async function healthOf(host: HealthHost, isClosed: boolean, options: HealthOptions): Promise<Health> {
  const { timeout, stats } = parseOptions(healthSchema(), options, 'health options')
  const answer: DriverHealth = isClosed
    ? { status: 'down', error: new MessagingError('closed', 'The bus is closed'), details: {} }
    : await driverHealth(host, timeout)
  const consumers = host.consumerHealth()
  const status = answer.status === 'down' ? 'down' : consumers.every(isWell) ? 'up' : 'degraded'
  const hasStats = stats && answer.status === 'up' && host.driver.capabilities.stats
  return {
    status,
    driver: answer,
    consumers: hasStats ? await withStats(host, consumers, timeout) : consumers,
  }
}

async function withStats(
  { driver, provisioner, clock }: HealthHost,
  consumers: readonly WorkerHealth[],
  timeoutMs: number,
): Promise<readonly ConsumerHealth[]> {
  const found = new Map<string, GroupStats>()
  const nameOf = ({ topic, group }: WorkerHealth) => `${topic} ${group}`
  const asked = new Map(consumers.map((consumer) => [nameOf(consumer), consumer]))
  const asking = [...asked].map(async ([name, { topic, group }]) => {
    const spec = provisioner.specOf(topic)
    if (spec !== undefined) found.set(name, await driver.stats(spec, group))
  })
  // A group that has no figures, such as that of a broadcast, goes without.
  await within(clock, timeoutMs, Promise.allSettled(asking))
  return consumers.map((consumer) => {
    const stats = found.get(nameOf(consumer))
    return stats === undefined ? consumer : { ...consumer, stats }
  })
}

function isWell({ state, error }: WorkerHealth): boolean {
  return error === undefined && (state === 'running' || state === 'paused')
}

async function driverHealth({ driver, clock }: HealthHost, timeoutMs: number): Promise<DriverHealth> {
  const { answer, thrown } = await answerWithin(clock, timeoutMs, () => driver.health())
  if (answer !== undefined) return answer
  const why =
    thrown === undefined
      ? `did not say how it is within ${timeoutMs} ms`
      : `failed to say how it is: ${toError(thrown).message}`
  const error = new MessagingError('timeout', `The ${driver.name} driver ${why}`, { retryable: true })
  return { status: 'down', error, details: {} }
}
