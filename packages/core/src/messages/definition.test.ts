import { runInNewContext } from 'node:vm'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { ConfigurationError, type Issue } from '../lib/errors.ts'
import { defineMessage, type MessageDefinition, upcastData, validateData } from './definition.ts'
import { defineTopic } from './topic.ts'

const orders = defineTopic('orders')

function issuesOf(define: () => unknown): readonly Issue[] {
  try {
    define()
  } catch (error) {
    if (error instanceof ConfigurationError) return error.issues
    throw error
  }
  return []
}

describe('a definition', () => {
  test('has version 1, no upcasts and no key unless told otherwise', () => {
    const schema = z.object({})
    expect(defineMessage(orders, 'order.created', { schema })).toEqual({
      topic: orders,
      type: 'order.created',
      version: 1,
      upcast: {},
      schema,
    })
  })

  test('knows the schema’s input and output types', () => {
    const Sent = defineMessage(orders, 'order.sent', {
      schema: z.object({ at: z.string().transform((text) => new Date(text)) }),
      key: (data) => {
        expectTypeOf(data).toEqualTypeOf<{ at: Date }>()
        return 'k'
      },
    })
    expectTypeOf(Sent).toEqualTypeOf<MessageDefinition<{ at: string }, { at: Date }, string, 'order.sent'>>()
  })

  test('takes any Standard Schema', () => {
    const schema = {
      '~standard': { version: 1, vendor: 'ours', validate: (value: unknown) => ({ value }) },
    } as const
    expect(issuesOf(() => defineMessage(orders, 'order.created', { schema }))).toEqual([])
  })

  test('is refused with every problem at once', () => {
    const wrong: unknown = { schema: {}, version: 0, upcast: { one: 1 }, key: 'id', extra: true }
    // @ts-expect-error: what a caller without types can do
    const issues = issuesOf(() => defineMessage(orders, 'order.*', wrong))
    const paths = issues.map(({ path }) => path)
    expect(paths).toEqual(expect.arrayContaining(['type', 'schema', 'version', 'upcast.one', 'key', '']))
    expect(issues.find(({ path }) => path === 'type')?.message).toMatch(/"\*" or "#"/)
  })

  test.each(['', 'order..created', '.order', 'order.', 'order created', 'order.\n', 'x'.repeat(256)])(
    'of type %j is refused',
    (type) => {
      const issues = issuesOf(() => defineMessage(orders, type, { schema: z.object({}) }))
      expect(issues.map(({ path }) => path)).toEqual(['type'])
    },
  )

  test('may have metacharacters that make up no whole segment', () => {
    expect(issuesOf(() => defineMessage(orders, 'order.a*b.#c', { schema: z.object({}) }))).toEqual([])
  })

  test('is refused with an upcast that leads beyond its version', () => {
    const upcast = { 1: () => ({}), 2: () => ({}), 3: () => ({}) }
    const issues = issuesOf(() =>
      defineMessage(orders, 'order.created', { schema: z.object({}), version: 2, upcast }),
    )
    expect(issues.map(({ path }) => path)).toEqual(['upcast.2', 'upcast.3'])
  })

  test('is refused without a topic, as an import cycle leaves it', () => {
    // @ts-expect-error: what an import cycle does
    const issues = issuesOf(() => defineMessage(undefined, 'order.created', { schema: z.object({}) }))
    expect(issues.map(({ path }) => path)).toEqual(['topic'])
  })
})

describe('upcasts', () => {
  const definition = defineMessage(orders, 'order.created', {
    version: 4,
    schema: z.unknown(),
    upcast: {
      1: (old) => ({ ...old, two: true }),
      2: (old) => ({ ...old, three: true }),
      3: (old) => ({ ...old, four: true }),
    },
  })

  test('lead step by step from the version of the data to that of the definition', () => {
    expect(upcastData(definition, 1, { one: true })).toEqual({
      data: { one: true, two: true, three: true, four: true },
    })
    expect(upcastData(definition, 3, {})).toEqual({ data: { four: true } })
  })

  test('leave data of the definition’s version alone', () => {
    const data = { a: 1 }
    expect(upcastData(definition, 4, data)?.data).toBe(data)
  })

  test('find no way from a newer version, nor over a gap', () => {
    expect(upcastData(definition, 5, {})).toBeUndefined()
    const gap: MessageDefinition = { ...definition, upcast: { 1: () => ({}), 3: () => ({}) } }
    expect(upcastData(gap, 1, {})).toBeUndefined()
    expect(upcastData(gap, 3, {})).toEqual({ data: {} })
  })

  test('may make undefined, which is data too', () => {
    const empty: MessageDefinition = { ...definition, version: 2, upcast: { 1: () => undefined } }
    expect(upcastData(empty, 1, {})).toEqual({ data: undefined })
  })
})

describe('data', () => {
  test('that fits is what the schema makes of it', () => {
    const schema = z.object({ n: z.coerce.number() })
    expect(validateData(schema, { n: '7', more: 1 })).toEqual({ value: { n: 7 } })
  })

  test('that does not fit has every problem, with its path', async () => {
    const schema = z.object({ lines: z.array(z.object({ price: z.number() })), id: z.string() })
    expect(await validateData(schema, { lines: [{ price: 'x' }] })).toEqual({
      issues: [
        { path: 'lines.0.price', message: expect.any(String) },
        { path: 'id', message: expect.any(String) },
      ],
    })
  })

  test('of a synchronous schema is checked without a promise, of an asynchronous one with', async () => {
    expect(validateData(z.string(), 'x')).not.toBeInstanceOf(Promise)
    const slow = z.string().refine(async (value) => value !== 'x', 'not x')
    expect(await validateData(slow, 'x')).toEqual({ issues: [{ path: '', message: 'not x' }] })
  })

  test('has paths of other schema libraries understood, whose parts are objects', () => {
    const schema = {
      '~standard': {
        version: 1 as const,
        vendor: 'ours',
        validate: () => ({ issues: [{ message: 'bad', path: [{ key: 'a' }, 0, { key: Symbol('s') }] }] }),
      },
    }
    expect(validateData(schema, {})).toEqual({ issues: [{ path: 'a.0.Symbol(s)', message: 'bad' }] })
  })

  test("waits for a promise that is another realm's", async () => {
    const foreign: Promise<{ value: number }> = runInNewContext('Promise.resolve({ value: 7 })')
    expect(foreign).not.toBeInstanceOf(Promise)
    const schema = { '~standard': { version: 1 as const, vendor: 'ours', validate: () => foreign } }
    expect(await validateData(schema, {})).toEqual({ value: 7 })
  })
})
