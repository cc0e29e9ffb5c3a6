import type { StandardSchemaV1 } from '@standard-schema/spec'
import { z } from 'zod'
import { isPattern } from '../driver/pattern.ts'
import { ConfigurationError, describe, type Issue } from '../lib/errors.ts'
import { partialRetrySchema, type RetryPolicy } from '../lib/retry.ts'
import { lazily, parseOptions, withFields } from '../lib/validation.ts'
import { type BodyFormat, type BodyFormatOptions, bodyFormatFields, bodyFormatOf } from './body-format.ts'
import type { Message } from './message.ts'
import { definedTopicSchema, type Topic, typeSchema } from './topic.ts'

type Upcasts = Readonly<Record<number, (old: Record<string, unknown>) => unknown>>

export interface MessageOptions<Schema extends StandardSchemaV1> extends BodyFormatOptions {
  /** Any Standard Schema (zod, valibot, arktype). `send` takes its input type, handlers get its output type. */
  readonly schema: Schema
  /** Of the data's shape; a positive integer. Default: 1. */
  readonly version?: number
  /** Turns data of an older version into the next one: `upcast[1]` takes version 1 and returns version 2. */
  readonly upcast?: Upcasts
  /** Of every handler that says nothing else; what it leaves out comes from the consumer. */
  readonly retry?: RetryPolicy
  /** The ordering key of a message. Needed on ordered topics, unless every `send` gives one. */
  readonly key?: (data: StandardSchemaV1.InferOutput<Schema>) => string
}

export interface RequestMessageOptions<Schema extends StandardSchemaV1, Reply extends StandardSchemaV1>
  extends MessageOptions<Schema> {
  /** Makes it a request: handlers return this schema's input, and `bus.request` resolves with its output. */
  readonly reply: Reply
}

/** A message type on a topic. Made by `defineMessage`; shared by producers and consumers. */
export interface MessageDefinition<
  Input = unknown,
  Output = unknown,
  Group extends string = string,
  Type extends string = string,
  ReplyInput = unknown,
  ReplyOutput = unknown,
> {
  readonly topic: Topic<Group>
  readonly type: Type
  readonly version: number
  readonly upcast: Upcasts
  readonly schema: StandardSchemaV1<Input, Output>
  readonly format?: BodyFormat | undefined
  /** What its handlers reply; undefined: it is no request. */
  readonly reply?: StandardSchemaV1<ReplyInput, ReplyOutput> | undefined
  readonly retry?: RetryPolicy | undefined
  // A method, not a property, so that a definition of one type is assignable where any definition will do.
  key?(data: Output): string
}

/** A message type whose handlers reply; what `bus.request` sends. Made by `defineMessage` with a `reply` schema. */
export interface RequestDefinition<
  Input = unknown,
  Output = unknown,
  Group extends string = string,
  Type extends string = string,
  ReplyInput = unknown,
  ReplyOutput = unknown,
> extends MessageDefinition<Input, Output, Group, Type, ReplyInput, ReplyOutput> {
  readonly reply: StandardSchemaV1<ReplyInput, ReplyOutput>
}

/**
 * The type of a definition's data, as handlers get it.
 *
 * ```ts
 * type Order = DataOf<typeof OrderPlaced>
 * ```
 */
export type DataOf<Definition extends MessageDefinition> =
  Definition extends MessageDefinition<unknown, infer Output> ? Output : never

/**
 * The message of a definition, as handlers get it; of a union of definitions, the union of their messages.
 *
 * ```ts
 * type Event = MessageOf<typeof OrderPlaced | typeof OrderPaid>
 * ```
 */
export type MessageOf<Definition extends MessageDefinition> =
  Definition extends MessageDefinition<unknown, infer Output, string, infer Type>
    ? Message<Output, Type>
    : never

/** What a handler of the definition returns: the input of its reply's schema, anything if it has none. */
export type ReplyOf<Definition extends MessageDefinition> =
  Definition extends MessageDefinition<unknown, unknown, string, string, infer Reply> ? Reply : never

const standardSchema = () =>
  z.custom<StandardSchemaV1>(
    (value) =>
      (typeof value === 'object' || typeof value === 'function') && value !== null && '~standard' in value,
    'expected a Standard Schema such as one of zod',
  )

const definitionSchema = lazily(() =>
  z
    .strictObject({
      topic: definedTopicSchema(),
      type: typeSchema().refine(
        (type) => !isPattern(type),
        'a message type may not have "*" or "#" as a segment',
      ),
      version: z.int().min(1).default(1),
      upcast: z.record(z.string().regex(/^[1-9]\d*$/, 'expected a version number'), z.function()).default({}),
      schema: standardSchema(),
      reply: standardSchema().optional(),
      key: z.function().optional(),
      retry: partialRetrySchema().optional(),
      ...bodyFormatFields(),
    })
    .superRefine(({ version, upcast }, context) => {
      for (const from of Object.keys(upcast).filter((each) => Number(each) >= version)) {
        const message = `leads from version ${from}, but the definition is of version ${version}`
        context.addIssue({ code: 'custom', path: ['upcast', from], message })
      }
    }),
)

/**
 * Defines a message type on a topic.
 *
 * ```ts
 * const OrderPlaced = defineMessage(orders, 'order.placed', {
 *   schema: z.object({ orderId: z.string(), total: z.number() }),
 *   key: ({ orderId }) => orderId,
 * })
 * ```
 *
 * With a `reply` schema it is a request, whose handlers return the reply:
 *
 * ```ts
 * const QuoteAsked = defineMessage(quotes, 'quote.asked', {
 *   schema: z.object({ sku: z.string() }),
 *   reply: z.object({ price: z.number() }),
 * })
 * ```
 *
 * @throws {ConfigurationError} listing every problem.
 */
export function defineMessage<
  Schema extends StandardSchemaV1,
  Reply extends StandardSchemaV1,
  Group extends string = string,
  Type extends string = string,
>(
  topic: Topic<Group>,
  type: Type,
  options: RequestMessageOptions<Schema, Reply>,
): RequestDefinition<
  StandardSchemaV1.InferInput<Schema>,
  StandardSchemaV1.InferOutput<Schema>,
  Group,
  Type,
  StandardSchemaV1.InferInput<Reply>,
  StandardSchemaV1.InferOutput<Reply>
>
export function defineMessage<
  Schema extends StandardSchemaV1,
  Group extends string = string,
  Type extends string = string,
>(
  topic: Topic<Group>,
  type: Type,
  options: MessageOptions<Schema>,
): MessageDefinition<StandardSchemaV1.InferInput<Schema>, StandardSchemaV1.InferOutput<Schema>, Group, Type>
export function defineMessage(
  topic: Topic,
  type: string,
  options: MessageOptions<StandardSchemaV1> & { readonly reply?: StandardSchemaV1 },
): MessageDefinition {
  const { version, codec, stages } = parseOptions(
    definitionSchema(),
    withFields(options, { topic, type }),
    `message ${describe(type)}`,
  )
  return {
    topic,
    type,
    version,
    upcast: options.upcast ?? {},
    format: bodyFormatOf({ codec, stages }),
    retry: options.retry,
    schema: options.schema,
    ...(options.reply && { reply: options.reply }),
    ...(options.key && { key: options.key }),
  }
}

export function isDefinition(value: unknown): value is MessageDefinition {
  return typeof value === 'object' && value !== null && 'topic' in value && 'schema' in value
}

/**
 * Refuses what is not a definition, before its fields are read.
 *
 * @throws {ConfigurationError} naming the usual cause of `undefined`.
 */
export function requireDefinition(value: unknown, what: string): void {
  if (isDefinition(value)) return
  const hint = value === undefined ? '; a circle of imports leaves undefined' : ''
  const message = `expected a message made by defineMessage(), not ${describe(value)}${hint}`
  throw new ConfigurationError(what, [{ path: 'definition', message }])
}

/**
 * Refuses what has no reply.
 *
 * @throws {ConfigurationError} saying what is missing.
 */
export function requireRequest(definition: MessageDefinition): void {
  requireDefinition(definition, 'request')
  if (definition.reply !== undefined) return
  const message = `${definition.type} has no reply; give defineMessage a reply schema`
  throw new ConfigurationError('request', [{ path: 'definition', message }])
}

/** The schema's output, or what is wrong with the data. */
export type Validated<Output> = { readonly value: Output } | { readonly issues: readonly Issue[] }

function toValidated<Output>(result: StandardSchemaV1.Result<Output>): Validated<Output> {
  if (result.issues === undefined) return { value: result.value }
  return {
    issues: result.issues.map(({ path = [], message }) => ({
      path: path.map((part) => String(typeof part === 'object' ? part.key : part)).join('.'),
      message,
    })),
  }
}

/** Data against the definition's schema. Synchronous when the schema is, which spares a promise a message. */
export function validateData<Output>(
  schema: StandardSchemaV1<unknown, Output>,
  data: unknown,
): Validated<Output> | Promise<Validated<Output>> {
  const result = schema['~standard'].validate(data)
  // Promises of other realms and libraries are none of this one's.
  return 'then' in result ? Promise.resolve(result).then(toValidated) : toValidated(result)
}

/**
 * Data of an older version, upcast to the definition's version; undefined when no upcast leads there. The caller handles
 * what an upcast throws.
 */
export function upcastData(
  definition: MessageDefinition,
  version: number,
  data: unknown,
): { data: unknown } | undefined {
  let current = data
  if (version > definition.version) return undefined
  for (let from = version; from < definition.version; from += 1) {
    const step = definition.upcast[from]
    if (step === undefined) return undefined
    current = step(current as Record<string, unknown>)
  }
  return { data: current }
}
