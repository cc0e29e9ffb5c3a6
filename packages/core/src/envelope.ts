import { z } from 'zod'

const dateTime = z
  .string()
  .refine((text) => !Number.isNaN(Date.parse(text)), 'expected an RFC 3339 date and time')

/**
 * The context attributes of a CloudEvents 1.0 event that Waybill reads (CloudEvents 1.0.2, "Context Attributes"; the
 * extensions Partitioning, Distributed Tracing, Correlation, Expiry Time), read tolerantly: what else is there is kept.
 */
export const envelopeSchema = z.looseObject({
  specversion: z.string().regex(/^1\./, 'expected 1.0'),
  id: z.string().min(1),
  source: z.string().min(1),
  type: z.string().min(1),
  time: dateTime.optional(),
  datacontenttype: z.string().optional(),
  // An integer in JSON, text in a header.
  dataversion: z.coerce.number().int().min(1).default(1),
  partitionkey: z.string().optional(),
  expirytime: dateTime.optional(),
  correlationid: z.string().optional(),
  causationid: z.string().optional(),
  traceparent: z.string().optional(),
  tracestate: z.string().optional(),
})

/** A received event before its data is looked at. */
export interface Envelope {
  readonly attributes: z.output<typeof envelopeSchema>
  /** Parsed JSON, text or bytes by content type; undefined when there is none. */
  readonly data: unknown
  /** Transport headers that are neither CloudEvents attributes nor ours. */
  readonly headers: Readonly<Record<string, string>>
}
