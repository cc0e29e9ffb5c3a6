import { z } from 'zod'
import type { RunningBroker } from '../brokers/index.ts'

const attribute = z.object({
  key: z.string(),
  value: z.object({ stringValue: z.string().optional(), intValue: z.coerce.number().optional() }),
})

const span = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().default(''),
  name: z.string(),
  kind: z.int(),
  links: z.array(z.object({ traceId: z.string(), spanId: z.string() })).default([]),
  attributes: z.array(attribute).default([]),
})

const line = z.object({
  resourceSpans: z.array(z.object({ scopeSpans: z.array(z.object({ spans: z.array(span) })) })).default([]),
  resourceMetrics: z
    .array(
      z.object({ scopeMetrics: z.array(z.object({ metrics: z.array(z.object({ name: z.string() })) })) }),
    )
    .default([]),
})

export type ReceivedSpan = z.output<typeof span>

/** What the collector has received: it writes a line of OTLP's JSON for each export. */
export async function receivedBy(collector: RunningBroker) {
  const lines = (await collector.logs()).split('\n').filter((each) => each.startsWith('{"resource'))
  const exports = lines.map((each) => line.parse(JSON.parse(each)))
  return {
    spans: exports.flatMap(({ resourceSpans }) =>
      resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
    ),
    metrics: new Set(
      exports.flatMap(({ resourceMetrics }) =>
        resourceMetrics.flatMap(({ scopeMetrics }) =>
          scopeMetrics.flatMap(({ metrics }) => metrics.map(({ name }) => name)),
        ),
      ),
    ),
  }
}

/** An attribute's text. */
export function attributeOf({ attributes }: ReceivedSpan, name: string): string | undefined {
  return attributes.find(({ key }) => key === name)?.value.stringValue
}
