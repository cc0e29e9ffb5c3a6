import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Bus } from '@waybill/core'
import { parseOptions, toError } from '@waybill/core/driver'
import { Reader, Recorder, requireMeasured } from '@waybill/figures'
import type { Registry } from 'prom-client'
import { Collectors } from './collectors.ts'
import { type MetricsOptions, optionsSchema } from './options.ts'
import { timeCalls, timeJobs } from './timing.ts'

/** The metrics of a bus, and the ways to serve them. */
export interface Metrics {
  /** The registry of prom-client that they are in. */
  readonly registry: Registry
  /**
   * Answers GET and HEAD, whatever the path, for node:http and Express, and with `request.raw` and `reply.raw` for Fastify.
   *
   * ```ts
   * http.createServer(metrics.node).listen(9464)
   * ```
   */
  readonly node: (request: IncomingMessage, response: ServerResponse) => void
  /**
   * For frameworks that speak `Request` and `Response`, such as Hono.
   *
   * ```ts
   * app.get('/metrics', (c) => metrics.fetch(c.req.raw))
   * ```
   */
  readonly fetch: (request: Request) => Promise<Response>
}

interface Answer {
  readonly status: number
  readonly headers: Record<string, string>
  readonly text: string | null
}

/**
 * Measures what goes through a bus, for Prometheus. Call it before consumers start, and once for a bus. Without a bus it measures
 * `jobs`.
 *
 * ```ts
 * const metrics = prometheusMetrics(bus, { topics: [orders] })
 * http.createServer(metrics.node).listen(9464)
 * ```
 *
 * Defaults: a registry of its own, no groups counted, counts at most 10 s old, 5 s to read them.
 *
 * @throws {ConfigurationError} listing every problem of the options, or when there is nothing to measure.
 */
export function prometheusMetrics(bus: Bus | undefined, options: MetricsOptions = {}): Metrics {
  const { registry, labels, ...reading } = parseOptions(optionsSchema, options, 'metrics options')
  requireMeasured(bus, reading)
  const collectors = new Collectors(registry, labels, new Reader(bus, reading), bus !== undefined)
  const recorder = new Recorder(bus, collectors)
  if (bus !== undefined) timeCalls(bus, recorder)
  for (const jobs of Object.values(reading.jobs)) timeJobs(jobs, recorder)
  return {
    registry,
    node: ({ method = 'GET' }, response) =>
      void answer(registry, method).then(({ status, headers, text }) => {
        response.writeHead(status, headers).end(text)
      }),
    fetch: async ({ method }) => {
      const { text, ...rest } = await answer(registry, method)
      return new Response(text, rest)
    },
  }
}

async function answer(registry: Registry, method: string): Promise<Answer> {
  const plain = { 'content-type': 'text/plain; charset=utf-8' }
  if (method !== 'GET' && method !== 'HEAD') {
    const headers = { ...plain, allow: 'GET, HEAD' }
    return { status: 405, headers, text: `Metrics are asked for with GET or HEAD, not ${method}\n` }
  }
  try {
    const text = method === 'HEAD' ? null : await registry.metrics()
    return { status: 200, headers: { 'content-type': registry.contentType }, text }
  } catch (error) {
    // By a metric of somebody else's in the registry.
    const text = `The metrics could not be collected: ${toError(error).message}\n`
    return { status: 500, headers: plain, text }
  }
}
