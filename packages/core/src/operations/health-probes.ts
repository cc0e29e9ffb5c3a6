import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import type { Bus } from '../bus/bus.ts'
import type { Health } from '../bus/health.ts'
import type { WorkerHealth } from '../consuming/worker.ts'
import { systemClock } from '../lib/clock.ts'
import type { Duration } from '../lib/duration.ts'
import { someMillisecondsSchema } from '../lib/duration-schema.ts'
import { type ErrorCode, MessagingError, toError } from '../lib/errors.ts'
import { functionSchema, lazily, parseOptions } from '../lib/validation.ts'
import { answerWithin } from '../lib/within.ts'
import { requireBus } from './require-bus.ts'

/** How something beside the bus is: a relay, a database. */
export interface PartHealth {
  readonly status: 'up' | 'degraded' | 'down'
  readonly error?: Error | undefined
}

export interface HealthProbeOptions {
  /** Where the probes are. Default: `/livez`, `/readyz` and `/healthz`. */
  readonly paths?: { readonly live?: string; readonly ready?: string; readonly health?: string }
  /** What else belongs to the process, by name: `{ relay: () => relay.health() }`. One that is `down` makes it not ready. */
  readonly parts?: Readonly<Record<string, () => PartHealth | Promise<PartHealth>>>
  /** How long the broker and each part get to answer. Default: 5 s; a probe's own timeout should be longer. */
  readonly timeout?: Duration
  /**
   * After how long a consumer that cannot get its subscription back, though the broker answers, makes the process not live.
   * Default: 10 min.
   */
  readonly restartAfter?: Duration
  /** Whether `/healthz` asks the broker for each group's figures, partitions and offsets among them. Default: true. */
  readonly stats?: boolean
}

export interface ProbeAnswer {
  /** 200 or 503, as Kubernetes and load balancers read it. */
  readonly code: 200 | 503
  readonly body: {
    readonly status: 'ok' | 'failed'
    /** Why it failed, a sentence each. */
    readonly problems: readonly string[]
    readonly [detail: string]: unknown
  }
}

const path = lazily(() => z.string().regex(/^\/[^?#\s]*$/, "expected a path such as '/livez'"))

const probesSchema = lazily(() =>
  z.strictObject({
    paths: z
      .strictObject({
        live: path().default('/livez'),
        ready: path().default('/readyz'),
        health: path().default('/healthz'),
      })
      .prefault({})
      .refine(
        (paths) => new Set(Object.values(paths)).size === 3,
        'expected three paths that differ from each other',
      ),
    parts: z.record(z.string().min(1), functionSchema()).default({}),
    timeout: someMillisecondsSchema().prefault('5s'),
    restartAfter: someMillisecondsSchema().prefault('10m'),
    stats: z.boolean().default(true),
  }),
)

// A consumer that fails so waits for its broker, which no restart brings back.
const brokerAway: ReadonlySet<ErrorCode | undefined> = new Set<ErrorCode>([
  'disconnected',
  'connection-failed',
  'timeout',
  'throttled',
])

type ProbeName = 'live' | 'ready' | 'health'

/**
 * Answers the probes of Kubernetes, load balancers and operators. Made by `healthProbes`.
 *
 * - **live**: fails when only a restart helps, and never because the broker is away: when all handlers of a consumer are
 *   stuck, when a consumer has stopped receiving for good, or cannot get its subscription back though the broker answers.
 * - **ready**: fails while the broker does not answer, a consumer has not subscribed, a part is down, or the bus is closing.
 * - **health**: everything `bus.health()` tells, the parts, and the figures of each group; 503 unless all of it is `up`.
 */
export class HealthProbes {
  readonly #bus: Bus
  readonly #settings: z.output<ReturnType<typeof probesSchema>>
  readonly #parts: NonNullable<HealthProbeOptions['parts']>
  /** Since when each consumer has been without its subscription, by topic and group, while the broker answered. */
  readonly #recoveringSince = new Map<string, number>()
  /** One look for all who ask at the same time. */
  #looking: Promise<Health> | undefined

  /** @internal Made by `healthProbes`; the parameters may change in any version. */
  constructor(bus: Bus, options: HealthProbeOptions) {
    requireBus(bus, 'healthProbes')
    this.#bus = bus
    this.#settings = parseOptions(probesSchema(), options, 'healthProbes')
    this.#parts = options.parts ?? {}
  }

  /** Answers at once, from what is known in this process. */
  live(): ProbeAnswer {
    const consumers = this.#bus.consumerHealth()
    const problems = [...consumers.flatMap(stalledProblem), ...this.#recoveringProblems(consumers)]
    return answer(problems, {})
  }

  async ready(): Promise<ProbeAnswer> {
    const [health, parts] = await Promise.all([this.#look(), this.#partsNow()])
    const { driver, consumers } = health
    const problems = [
      ...(driver.status === 'down'
        ? [`The broker does not answer: ${driver.error?.message ?? 'no reason was given'}`]
        : []),
      ...consumers.flatMap(subscriptionProblem),
      ...parts.flatMap(([name, { status, error }]) =>
        status === 'down' ? [`${name} is down${error === undefined ? '' : `: ${error.message}`}`] : [],
      ),
    ]
    return answer(problems, {})
  }

  async health(): Promise<ProbeAnswer> {
    const { timeout, stats } = this.#settings
    const [health, parts] = await Promise.all([this.#bus.health({ timeout, stats }), this.#partsNow()])
    const problems = [
      ...(health.driver.error === undefined ? [] : [health.driver.error.message]),
      ...health.consumers.flatMap(({ topic, group, error }) =>
        error === undefined ? [] : [`Group ${group} on topic ${topic}: ${error.message}`],
      ),
      ...health.consumers.flatMap(subscriptionProblem),
      ...parts.flatMap(([name, { status, error }]) =>
        status === 'up' ? [] : [`${name} is ${status}${error === undefined ? '' : `: ${error.message}`}`],
      ),
    ]
    const { status, details } = health.driver
    return answer([...new Set(problems)], {
      bus: health.status,
      broker: { driver: this.#bus.driver, status, details },
      consumers: health.consumers.map(({ error, ...facts }) => ({
        ...facts,
        ...(error !== undefined && { error: error.message }),
      })),
      ...(parts.length > 0 && {
        parts: Object.fromEntries(parts.map(([name, part]) => [name, part.status])),
      }),
    })
  }

  /**
   * For node:http and Express, and with `request.raw` and `reply.raw` for Fastify. What is no probe goes to `next`, if
   * there is one, or is 404.
   *
   * ```ts
   * http.createServer(probes.node).listen(8080)
   * app.use(probes.node)
   * ```
   */
  readonly node = (request: IncomingMessage, response: ServerResponse, next?: () => void): void => {
    const probe = this.#probeOf(request.url ?? '')
    if (probe === undefined && next !== undefined) {
      next()
      return
    }
    void this.#respond(probe, request.method).then(({ code, headers, text }) => {
      // The server may have answered by itself meanwhile, by a timeout of its own.
      if (!response.headersSent) response.writeHead(code, headers).end(text)
    })
  }

  /**
   * For frameworks that speak `Request` and `Response`, such as Hono, Bun and Deno's.
   *
   * ```ts
   * for (const path of ['/livez', '/readyz', '/healthz']) app.get(path, (c) => probes.fetch(c.req.raw))
   * ```
   */
  readonly fetch = async (request: Request): Promise<Response> => {
    const { code, headers, text } = await this.#respond(this.#probeOf(request.url), request.method)
    return new Response(text, { status: code, headers })
  }

  #probeOf(url: string): ProbeName | undefined {
    // Strangers ask for what is no URL, such as `//`.
    const asked = URL.parse(url, 'http://localhost')?.pathname
    const { paths } = this.#settings
    const names: readonly ProbeName[] = ['live', 'ready', 'health']
    return names.find((name) => paths[name] === asked)
  }

  async #respond(
    probe: ProbeName | undefined,
    method: string | undefined,
  ): Promise<{ code: number; headers: Record<string, string>; text: string | null }> {
    const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' }
    const json = (value: unknown) => (method === 'HEAD' ? null : `${JSON.stringify(value, plain)}\n`)
    if (probe === undefined) {
      return { code: 404, headers, text: json({ status: 'failed', problems: ['There is no such probe'] }) }
    }
    if (method !== 'GET' && method !== 'HEAD') {
      const problems = [`Probes are asked with GET or HEAD, not ${method}`]
      return {
        code: 405,
        headers: { ...headers, allow: 'GET, HEAD' },
        text: json({ status: 'failed', problems }),
      }
    }
    try {
      const { code, body } = await this[probe]()
      return { code, headers, text: json(body) }
    } catch (thrown) {
      const problems = [`The probe failed: ${toError(thrown).message}`]
      return { code: 503, headers, text: json({ status: 'failed', problems }) }
    }
  }

  #look(): Promise<Health> {
    const { timeout } = this.#settings
    this.#looking ??= this.#bus.health({ timeout }).finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  #recoveringProblems(consumers: readonly WorkerHealth[]): string[] {
    const now = systemClock.monotonic()
    const recovering = new Map(
      consumers
        .filter(({ state, error }) => state === 'recovering' && !brokerAway.has(error?.code))
        .map(({ topic, group, error }) => [`${topic} ${group}`, { topic, group, error }]),
    )
    for (const name of this.#recoveringSince.keys()) {
      if (!recovering.has(name)) this.#recoveringSince.delete(name)
    }
    return [...recovering].flatMap(([name, { topic, group, error }]) => {
      const since = this.#recoveringSince.get(name) ?? now
      this.#recoveringSince.set(name, since)
      if (now - since < this.#settings.restartAfter) return []
      const seconds = Math.round((now - since) / 1000)
      const why = error === undefined ? '' : `: ${error.message}`
      return [`Group ${group} on topic ${topic} has not got its subscription back for ${seconds} s${why}`]
    })
  }

  async #partsNow(): Promise<readonly (readonly [string, PartHealth])[]> {
    const { timeout } = this.#settings
    return Promise.all(
      Object.entries(this.#parts).map(async ([name, ask]) => [name, await partHealth(ask, timeout)] as const),
    )
  }
}

/**
 * Probes for Kubernetes, load balancers and operators, as handlers for node:http, Express, Fastify and Hono.
 *
 * ```ts
 * const probes = healthProbes(bus, { parts: { relay: () => relay.health() } })
 * http.createServer(probes.node).listen(8080) // GET /livez, /readyz, /healthz
 * ```
 *
 * @throws {ConfigurationError} listing every problem of the options.
 */
export function healthProbes(bus: Bus, options: HealthProbeOptions = {}): HealthProbes {
  return new HealthProbes(bus, options)
}

async function partHealth(
  ask: () => PartHealth | Promise<PartHealth>,
  timeoutMs: number,
): Promise<PartHealth> {
  const { thrown, ...said } = await answerWithin<unknown>(systemClock, timeoutMs, ask)
  if (isPartHealth(said.answer)) return said.answer
  if (thrown !== undefined) return down('rejected', toError(thrown).message, thrown)
  if ('answer' in said) return down('rejected', 'It did not answer with a status: up, degraded or down')
  return down('timeout', `It did not answer within ${timeoutMs} ms`)
}

function down(code: ErrorCode, message: string, cause?: unknown): PartHealth {
  return { status: 'down', error: new MessagingError(code, message, { cause }) }
}

function isPartHealth(value: unknown): value is PartHealth {
  if (typeof value !== 'object' || value === null || !('status' in value)) return false
  return value.status === 'up' || value.status === 'degraded' || value.status === 'down'
}

function stalledProblem({ topic, group, stalled, error }: WorkerHealth): string[] {
  if (stalled === undefined) return []
  return [`Group ${group} on topic ${topic} has stopped: ${error?.message ?? stalled}`]
}

function subscriptionProblem({ topic, group, state, isPull, error }: WorkerHealth): string[] {
  if (state === 'running' || state === 'paused' || (state === 'stopped' && isPull)) return []
  const why = error === undefined ? '' : `: ${error.message}`
  return [`Group ${group} on topic ${topic} is ${state}${why}`]
}

function answer(problems: readonly string[], details: Readonly<Record<string, unknown>>): ProbeAnswer {
  const isOk = problems.length === 0
  return { code: isOk ? 200 : 503, body: { status: isOk ? 'ok' : 'failed', problems, ...details } }
}

// Details may hold what JSON has no word for.
function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
