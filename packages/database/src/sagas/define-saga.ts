import type { StandardSchemaV1 } from '@standard-schema/spec'
import {
  ConfigurationError,
  type Duration,
  defineMessage,
  defineTopic,
  type Issue,
  type MessageDefinition,
  type Topic,
} from '@waybill/core'
import { parseDuration } from '@waybill/core/driver'
import { z } from 'zod'
import {
  type HandlerPart,
  type ReplyPart,
  type SagaPart,
  type SagaParts,
  type StartPart,
  type StepPart,
  sagaParts,
  type TimeoutPart,
} from './saga-parts.ts'

export interface SagaOptions<Schema extends StandardSchemaV1> {
  /** Of the saga's data, which is stored as JSON: the schema has to take what it gives. Any Standard Schema. */
  readonly data: Schema
  /** The topic of the saga's timeouts. Default: `saga.NAME`. */
  readonly topic?: Topic
}

/** A step with its answers in lists. */
export interface SagaStep<Data> {
  readonly name: string
  readonly run: StepPart<Data>['options']['run']
  readonly compensate: StepPart<Data>['options']['compensate']
  readonly done: readonly ReplyPart<Data>[]
  readonly refused: readonly ReplyPart<Data>[]
  readonly compensated: readonly ReplyPart<Data>[]
  readonly timeout: Duration | undefined
  readonly compensationTimeout: Duration | undefined
}

/** What a timeout's message carries. */
export interface SagaTimeout {
  readonly id: string
  readonly name: string
  readonly token: string
}

const timeoutSchema = z.object({ id: z.string(), name: z.string(), token: z.string() })

/** The data of a timeout's message, which its consumer has parsed. */
export function timeoutOf(data: unknown): SagaTimeout {
  return timeoutSchema.parse(data)
}

/** A kind of saga. Made by `defineSaga`; run by `Saga`. */
export interface SagaDefinition<Data = unknown> {
  readonly name: string
  readonly data: StandardSchemaV1<unknown, Data>
  readonly starts: readonly StartPart<Data>[]
  readonly steps: readonly SagaStep<Data>[]
  readonly handlers: readonly HandlerPart<Data>[]
  readonly timeouts: ReadonlyMap<string, TimeoutPart<Data>>
  readonly timeout: MessageDefinition<SagaTimeout, SagaTimeout>
}

/**
 * Defines a saga: what starts it, its steps with what undoes them, and what else it listens to. It touches neither database
 * nor broker.
 *
 * ```ts
 * const checkout = defineSaga('checkout', { data: z.object({ orderId: z.string(), total: z.int() }) }, (saga) => [
 *   saga.startedBy(OrderPlaced, ({ data }) => ({ orderId: data.orderId, total: data.total })),
 *   saga.step('reserve stock', {
 *     run: ({ data, send }) => send(ReserveStock, { orderId: data.orderId }),
 *     done: saga.reply(StockReserved),
 *     refused: saga.reply(StockRefused, ({ message }) => message.data.reason),
 *     compensate: ({ data, send }) => send(ReleaseStock, { orderId: data.orderId }),
 *     compensated: saga.reply(StockReleased),
 *     timeout: '5m',
 *   }),
 *   saga.step('confirm', { run: ({ data, send }) => send(OrderConfirmed, { orderId: data.orderId }) }),
 * ])
 * ```
 *
 * A saga is found by the key of each message, or by the `id` that a part makes of its data.
 *
 * @throws {ConfigurationError} listing every problem.
 */
export function defineSaga<Schema extends StandardSchemaV1>(
  name: string,
  options: SagaOptions<Schema>,
  parts: (
    saga: SagaParts<StandardSchemaV1.InferInput<Schema>, StandardSchemaV1.InferOutput<Schema>>,
  ) => readonly SagaPart<StandardSchemaV1.InferOutput<Schema>>[],
): SagaDefinition<StandardSchemaV1.InferOutput<Schema>>
export function defineSaga(
  name: string,
  options: SagaOptions<StandardSchemaV1>,
  parts: (saga: SagaParts<unknown, unknown>) => readonly SagaPart<unknown>[],
): SagaDefinition {
  const list = parts(sagaParts())
  const starts = list.filter((part) => part.part === 'start')
  const handlers = list.filter((part) => part.part === 'handler')
  const timeouts = list.filter((part) => part.part === 'timeout')
  const stepParts = list.filter((part) => part.part === 'step')
  const issues: Issue[] = [
    ...nameIssues(name),
    ...schemaIssues(options?.data),
    ...partIssues(list),
    ...stepParts.flatMap((part, index) => stepIssues(part, index)),
    ...repeated(
      'step',
      stepParts.map((part) => part.name),
    ),
    ...repeated(
      'timeout',
      timeouts.map((part) => part.name),
    ),
    ...messageIssues(starts, stepParts, handlers),
  ]
  if (issues.length > 0) throw new ConfigurationError(`saga ${JSON.stringify(name)}`, issues)
  const topic = options.topic ?? defineTopic(`saga.${name}`)
  return {
    name,
    data: options.data,
    starts,
    steps: stepParts.map(toStep),
    handlers,
    timeouts: new Map(timeouts.map((part) => [part.name, part])),
    timeout: defineMessage(topic, `saga.${name}.timeout`, {
      schema: timeoutSchema,
    }),
  }
}

function listOf<Item>(items: Item | readonly Item[] | undefined): readonly Item[] {
  if (items === undefined) return []
  return isList(items) ? items : [items]
}

function isList<Item>(items: Item | readonly Item[]): items is readonly Item[] {
  return Array.isArray(items)
}

function toStep<Data>({ name, options }: StepPart<Data>): SagaStep<Data> {
  return {
    name,
    run: options.run,
    compensate: options.compensate,
    done: listOf(options.done),
    refused: listOf(options.refused),
    compensated: listOf(options.compensated),
    timeout: options.timeout,
    compensationTimeout: options.compensationTimeout,
  }
}

function nameIssues(name: unknown): Issue[] {
  // The topic of its timeouts is named after it.
  if (typeof name === 'string' && /^[A-Za-z0-9][A-Za-z0-9_-]{0,50}$/.test(name)) return []
  const message = 'expected 1 to 51 letters, digits, "_" or "-", starting with a letter or digit'
  return [{ path: 'name', message }]
}

function schemaIssues(schema: unknown): Issue[] {
  if (typeof schema === 'object' && schema !== null && '~standard' in schema) return []
  if (typeof schema === 'function' && '~standard' in schema) return []
  return [{ path: 'data', message: 'expected a Standard Schema such as one of zod' }]
}

function partIssues(list: readonly SagaPart<never>[]): Issue[] {
  const has = (kind: string) => list.some(({ part }) => part === kind)
  return [
    ...(has('start') ? [] : [{ path: 'startedBy', message: 'nothing starts it: add startedBy(…)' }]),
    ...(has('step') || has('handler') || has('timeout')
      ? []
      : [{ path: 'steps', message: 'it would do nothing: add step(…), on(…) or onTimeout(…)' }]),
  ]
}

function stepIssues({ name, options }: StepPart<never>, index: number): Issue[] {
  const at = typeof name === 'string' && name !== '' ? `step "${name}"` : `step ${index + 1}`
  const issues: Issue[] = []
  const problem = (path: string, message: string) => issues.push({ path: `${at}.${path}`, message })
  // Of an object's fields this one cannot be set.
  if (typeof name !== 'string' || name === '' || name === '__proto__')
    problem('name', 'expected text other than "__proto__"')
  const { run, compensate, timeout, compensationTimeout } = options
  if (typeof run !== 'function') problem('run', 'expected a function')
  if (compensate !== undefined && typeof compensate !== 'function')
    problem('compensate', 'expected a function')
  const has = (what: 'done' | 'refused' | 'compensated') => listOf(options[what]).length > 0
  if (has('refused') && !has('done'))
    problem('refused', 'has no done beside it, so nothing would wait for it')
  if (timeout !== undefined && !has('done'))
    problem('timeout', 'has no done beside it, so nothing would wait')
  if (compensationTimeout !== undefined && !has('compensated'))
    problem('compensationTimeout', 'has no compensated beside it, so nothing would wait')
  for (const [path, duration] of Object.entries({ timeout, compensationTimeout }))
    if (duration !== undefined && parseDuration(duration) === undefined)
      problem(path, "expected a duration such as '30s' or '5m'")
  if (has('compensated') && compensate === undefined)
    problem('compensated', 'has no compensate beside it, so nothing would be answered')
  return issues
}

function repeated(kind: string, names: readonly string[]): Issue[] {
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))].map((name) => ({
    path: `${kind} "${name}"`,
    message: 'the name is taken by another one',
  }))
}

/** Each message has one place in a saga: there it would otherwise be a matter of luck what it means. */
function messageIssues(
  starts: readonly StartPart<never>[],
  steps: readonly StepPart<never>[],
  handlers: readonly HandlerPart<never>[],
): Issue[] {
  const places = [
    ...starts.map((part) => ({ at: 'startedBy', part })),
    ...steps.flatMap(({ name, options }) =>
      (['done', 'refused', 'compensated'] as const).flatMap((role) =>
        listOf(options[role]).map((part) => ({ at: `step "${name}".${role}`, part })),
      ),
    ),
    ...handlers.map((part) => ({ at: 'on', part })),
  ]
  const issues: Issue[] = []
  const placeOf = new Map<string, string>()
  for (const { at, part } of places) {
    const definition: MessageDefinition | undefined = part?.definition
    if (definition?.topic === undefined) {
      const hint = 'a circle of imports leaves undefined'
      issues.push({ path: at, message: `expected a message made by defineMessage(); ${hint}` })
      continue
    }
    const name = `${definition.topic.name} ${definition.type}`
    const other = placeOf.get(name)
    if (other !== undefined)
      issues.push({ path: at, message: `${definition.type} is ${other} already; a message has one place` })
    placeOf.set(name, at)
    if (part.idOf === undefined && definition.key === undefined) {
      const message = `${definition.type} has no key to find the saga by; give its definition a key, or this an id`
      issues.push({ path: at, message })
    }
  }
  return issues
}
