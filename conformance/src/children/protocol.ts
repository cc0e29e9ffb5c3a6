import { z } from 'zod'

/** What a child process is started with, besides its program. Travels as JSON. */
export const connectionSchema = z.object({
  url: z.string(),
  native: z.record(z.string(), z.unknown()).optional(),
  adapterModule: z.string().optional(),
})

export const topicSchema = z.object({
  name: z.string(),
  ordered: z.boolean(),
  partitions: z.number(),
  groups: z.array(z.object({ name: z.string(), types: z.array(z.string()) })),
})

export const producerSettingsSchema = z.object({ connection: connectionSchema, topic: topicSchema })

export const consumerSettingsSchema = z.object({
  connection: connectionSchema,
  topic: topicSchema,
  group: z.string(),
  /** That it has handlers for. Default: the one that the producer sends. */
  types: z.array(z.string()).optional(),
  options: z.object({
    concurrency: z.number().optional(),
    lease: z.number().optional(),
    attempts: z.number().optional(),
    backoffMs: z.number().optional(),
    maxDeliveries: z.number().optional(),
    unhandledAfterMs: z.number().optional(),
  }),
  /** What its handler does. */
  behaviour: z.discriminatedUnion('kind', [
    /** Resolves at once. */
    z.object({ kind: z.literal('record') }),
    /** Never resolves. */
    z.object({ kind: z.literal('hang') }),
    /** Never resolves for numbers below `n`. */
    z.object({ kind: z.literal('hang-below'), n: z.number() }),
    z.object({ kind: z.literal('throw') }),
    /** Computes, so that the event loop stands still. */
    z.object({ kind: z.literal('block'), durationMs: z.number() }),
    /** Resolves after a while. */
    z.object({ kind: z.literal('wait'), durationMs: z.number() }),
    /** Writes an effect and its mark into the SQLite database in one transaction, then hangs. */
    z.object({ kind: z.literal('effect-then-hang'), database: z.string() }),
    /** Writes an effect into the database under an idempotency store kept there. */
    z.object({ kind: z.literal('effect'), database: z.string(), durationMs: z.number() }),
  ]),
})

export const cyclesSettingsSchema = z.object({
  connection: connectionSchema,
  topic: z.string(),
  group: z.string(),
  cycles: z.number(),
})

/** What a child says on its standard output, one JSON document a line. */
export const reportSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  z.object({ type: z.literal('sent'), id: z.string(), n: z.number() }),
  z.object({
    type: z.literal('delivered'),
    id: z.string(),
    n: z.number(),
    attempt: z.number(),
    /** When, in milliseconds: reports of several processes come in any order. */
    at: z.number(),
  }),
  z.object({ type: z.literal('handled'), id: z.string() }),
  z.object({ type: z.literal('retried'), id: z.string() }),
  z.object({ type: z.literal('deferred'), id: z.string() }),
  z.object({ type: z.literal('lost'), id: z.string() }),
  z.object({ type: z.literal('effect'), id: z.string() }),
  z.object({ type: z.literal('resources'), before: z.array(z.string()), after: z.array(z.string()) }),
])

export type ChildReport = z.output<typeof reportSchema>

/** What a producer is told on its standard input. */
export const commandSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('send'), n: z.number(), key: z.string().optional() }),
  z.object({ type: z.literal('send-without-end') }),
])

export type ChildCommand = z.output<typeof commandSchema>
