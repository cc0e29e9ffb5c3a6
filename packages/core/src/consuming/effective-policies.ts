import type { z } from 'zod'
import type { ParsedPolicies } from '../handling/handler-policies.ts'
import type { Registration } from '../handling/handlers.ts'
import { ConfigurationError, type Issue } from '../lib/errors.ts'
import { resolveRetry } from '../lib/retry.ts'
import type { MessageDefinition } from '../messages/definition.ts'
import { type consumerSchema, defaultConcurrency } from './consumer-options.ts'

export interface OwnPolicies extends ParsedPolicies {
  readonly timeout?: number | undefined
}

type ConsumerSettings = z.output<ReturnType<typeof consumerSchema>>

/**
 * What holds for a handler: what it says for itself; then its definition, where that can; then the consumer.
 *
 * @throws {ConfigurationError} when they cannot work together; `what` names the options.
 */
export function effectivePolicies(
  consumer: ConsumerSettings,
  own: OwnPolicies,
  definition: MessageDefinition | undefined,
  isBatch: boolean,
  what: string,
): Pick<Registration, 'timeoutMs' | 'retry' | 'policies'> {
  const { perKey, by } = consumer.concurrency
  // A batch holds one slot for many keys.
  const shared = perKey === undefined || isBatch ? undefined : { total: undefined, perKey, by }
  const policies = {
    rateLimit: own.rateLimit ?? consumer.rateLimit,
    circuitBreaker: own.circuitBreaker ?? consumer.circuitBreaker,
    concurrency: own.concurrency ?? shared,
  }
  const issues = problemsOf(policies, consumer)
  if (issues.length > 0) throw new ConfigurationError(what, issues)
  return {
    timeoutMs: own.timeout ?? consumer.timeout,
    retry: resolveRetry(own.retry, definition?.retry, consumer.retry),
    policies,
  }
}

function problemsOf(
  { rateLimit, concurrency }: ParsedPolicies,
  { concurrency: { total: slots = defaultConcurrency }, broadcast }: ConsumerSettings,
): Issue[] {
  const issues: Issue[] = []
  if (broadcast && rateLimit?.store !== undefined) {
    const message =
      'every consumer of a broadcast gets every message, so a shared limit would hold them all up; leave it out'
    issues.push({ path: 'rateLimit.store', message })
  }
  for (const field of ['total', 'perKey'] as const) {
    const wished = concurrency?.[field]
    if (wished === undefined || wished <= slots) continue
    const message = `expected at most the ${slots} of the consumer's own concurrency, not ${wished}`
    issues.push({ path: `concurrency.${field}`, message })
  }
  return issues
}
