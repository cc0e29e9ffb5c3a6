import type { WorkerHealth } from '../consuming/worker.ts'
import type { Driver, DriverHealth } from '../driver.ts'
import type { Clock } from '../lib/clock.ts'
import { MessagingError, toError } from '../lib/errors.ts'
import { within } from '../lib/within.ts'

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
  readonly consumers: readonly WorkerHealth[]
}

// What a driver gets for saying how it is, which it should have said by itself long before.
const healthTimeoutMs = 10_000

/** `driver` is undefined once the bus is closed. `consumersNow` is asked after the driver has answered. Never rejects. */
export async function healthOf(
  driver: Driver | undefined,
  consumersNow: () => readonly WorkerHealth[],
  clock: Clock,
): Promise<Health> {
  const answer: DriverHealth =
    driver === undefined
      ? { status: 'down', error: new MessagingError('closed', 'The bus is closed'), details: {} }
      : await driverHealth(driver, clock)
  const consumers = consumersNow()
  const status = answer.status === 'down' ? 'down' : consumers.every(isWell) ? 'up' : 'degraded'
  return { status, driver: answer, consumers }
}

function isWell({ state, error }: WorkerHealth): boolean {
  return error === undefined && (state === 'running' || state === 'paused')
}

async function driverHealth(driver: Driver, clock: Clock): Promise<DriverHealth> {
  let answer: DriverHealth | undefined
  let why = `did not say how it is within ${healthTimeoutMs} ms`
  const asked = driver.health().then(
    (health) => {
      answer = health
    },
    (thrown) => {
      why = `failed to say how it is: ${toError(thrown).message}`
    },
  )
  await within(clock, healthTimeoutMs, asked)
  if (answer !== undefined) return answer
  const error = new MessagingError('timeout', `The ${driver.name} driver ${why}`, { retryable: true })
  return { status: 'down', error, details: {} }
}
