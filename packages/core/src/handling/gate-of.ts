import type { Emit } from '../events/events.ts'
import type { Clock } from '../lib/clock.ts'
import { CircuitBreaker } from './circuit-breaker.ts'
import { Gate, type GateSettings, type KeyOf } from './gate.ts'
import type { ParsedPolicies } from './handler-policies.ts'
import { Places } from './places.ts'
import { memoryRateLimitStore } from './rate-limit.ts'
import { RateLimiter } from './rate-limiter.ts'

export interface GateContext extends Pick<GateSettings, 'own' | 'lent'> {
  readonly clock: Clock
  readonly emit: Emit
  readonly topic: string
  readonly group: string
  /** Of the handler: a type or a pattern. */
  readonly types: string
}

/** The gate of a handler; undefined when nothing limits it. */
export function gateOf(policies: ParsedPolicies, context: GateContext): Gate | undefined {
  if (!isLimited(policies)) return undefined
  const { rateLimit, circuitBreaker, concurrency } = policies
  const { clock, emit, topic, group, types, own, lent } = context
  const { total = Number.POSITIVE_INFINITY, perKey = Number.POSITIVE_INFINITY } = concurrency ?? {}
  return new Gate({
    clock,
    own,
    lent,
    places: concurrency && new Places(clock, { total, perKey }),
    // Without a limit of each key nobody asks for it.
    placeBy: concurrency?.perKey === undefined ? undefined : ((concurrency.by as KeyOf | undefined) ?? keyOf),
    limiter:
      rateLimit &&
      new RateLimiter({
        clock,
        emit,
        name: `${topic} ${group} ${types}`,
        store: rateLimit.store ?? memoryRateLimitStore({ clock }),
        isLocal: rateLimit.store === undefined,
        max: rateLimit.max,
        perMs: rateLimit.per,
      }),
    limitBy: rateLimit?.by as KeyOf | undefined,
    breaker:
      circuitBreaker &&
      new CircuitBreaker(circuitBreaker, clock, (state, error) =>
        emit('breaker', { topic, group, types, state, error }),
      ),
  })
}

export function isLimited({ rateLimit, circuitBreaker, concurrency }: ParsedPolicies): boolean {
  return rateLimit !== undefined || circuitBreaker !== undefined || concurrency !== undefined
}

const keyOf: KeyOf = ({ key }) => key
