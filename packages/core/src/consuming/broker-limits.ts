import type { Driver } from '../driver.ts'
import { toMilliseconds } from '../lib/duration.ts'
import { ConfigurationError, type Issue } from '../lib/errors.ts'
import type { ConsumerOptions } from './consumer-options.ts'

type Limited = Pick<Driver, 'name' | 'capabilities'>

/**
 * What is asked for by number is had, or refused at once: a shorter lease or a smaller prefetch than the one that was asked for
 * would show only under load. Defaults fit every driver.
 *
 * @throws {ConfigurationError} naming each option beyond what the driver has.
 */
export function requireWithinLimits(
  { name, capabilities }: Limited,
  { lease, prefetch }: Pick<ConsumerOptions, 'lease' | 'prefetch'>,
  what: string,
): void {
  const issues: Issue[] = []
  if (lease !== undefined && toMilliseconds(lease) > capabilities.maxLeaseMs) {
    const most = `expected at most ${capabilities.maxLeaseMs} ms, the longest lease the ${name} driver has`
    issues.push({ path: 'lease', message: `${most}; it is renewed up to maxLease while the handler runs` })
  }
  if (prefetch !== undefined && prefetch > capabilities.maxPrefetch) {
    issues.push({ path: 'prefetch', message: `expected at most ${mostPrefetch({ name, capabilities })}` })
  }
  if (issues.length > 0) throw new ConfigurationError(what, issues)
}

/**
 * A batch has to fit what is held at once, or it would never fill.
 *
 * @throws {ConfigurationError} when it is larger.
 */
export function requireRoomForBatch(
  driver: Limited,
  prefetch: number | undefined,
  size: number,
  what: string,
): void {
  const most = Math.min(prefetch ?? Number.POSITIVE_INFINITY, driver.capabilities.maxPrefetch)
  if (size <= most) return
  const why = most === prefetch ? `${prefetch}, the prefetch of the consumer` : mostPrefetch(driver)
  const message = `expected at most ${why}: a larger batch would never fill`
  throw new ConfigurationError(what, [{ path: 'size', message }])
}

function mostPrefetch({ name, capabilities }: Limited): string {
  return `${capabilities.maxPrefetch}, the most the ${name} driver hands out`
}
