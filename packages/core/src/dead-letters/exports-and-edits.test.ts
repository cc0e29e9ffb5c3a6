import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineMessage } from '../messages/definition.ts'
import { defineTopic } from '../messages/topic.ts'
import { memoryStoreOf } from './letter-store.fixture.ts'

const orders = defineTopic('orders')
const OrderPlaced = defineMessage(orders, 'order.placed', {
  version: 2,
  schema: z.object({ total: z.number() }),
})

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = []
  for await (const item of items) found.push(item)
  return found
}

describe('exports', () => {
  test('come back byte for byte, whatever the body is', async () => {
    const binary = Uint8Array.from({ length: 256 }, (_, index) => index)
    const { deadLetters, add, letters } = memoryStoreOf(orders)
    add('a', { total: 1 })
    letters.push({
      id: 'b',
      body: binary,
      contentType: undefined,
      headers: { 'waybill-reason': 'undecodable' },
    })
    letters.push({ id: 'c', body: Buffer.from('\uFEFFé\u0000'), contentType: 'text/plain', headers: {} })
    const before = structuredClone(
      letters.map(({ body, ...rest }) => ({ ...rest, body: new Uint8Array(body) })),
    )
    const lines = (await all(deadLetters.export())).map((letter) => JSON.stringify(letter))
    letters.length = 0
    expect(await deadLetters.import(lines.map((line) => JSON.parse(line)))).toEqual({
      imported: 3,
      alreadyThere: 0,
      refused: [],
    })
    for (const [index, { id, body, contentType, headers }] of before.entries()) {
      const { body: again, ...rest } = letters[index] ?? expect.fail('it is gone')
      expect(new Uint8Array(again)).toEqual(body)
      expect(rest).toMatchObject({ id, contentType, headers })
    }
  })

  test('that are wrong are refused one by one, each with every problem; the others are added once', async () => {
    const { deadLetters, add, letters, maxMessageBytes } = memoryStoreOf(orders)
    add('a', { total: 1 })
    const [good] = await all(deadLetters.export())
    const refusedLetters = [
      5,
      { ...good, version: 2 },
      { ...good, id: '', headers: { n: 1 }, body: { base64: '%' }, added: true },
      { ...good, id: 'large', body: { text: 'x'.repeat(maxMessageBytes + 1) } },
    ]
    const report = await deadLetters.import([
      ...refusedLetters,
      good,
      { ...good, id: 'b' },
      { ...good, id: 'b' },
    ])
    expect(report).toMatchObject({ imported: 1, alreadyThere: 2 })
    expect(letters.map(({ id }) => id)).toEqual(['a', 'b'])
    expect(report.refused.map(({ index, id }) => [index, id])).toEqual([
      [0, undefined],
      [1, 'a'],
      [2, ''],
      [3, 'large'],
    ])
    const [notAnObject, foreign, wrong, large] = report.refused.map(({ error }) => error.message)
    expect(notAnObject).toMatch(/dead letter 0/)
    expect(foreign).toMatch(/version: expected 1; what a newer Waybill/)
    for (const path of ['id', 'headers.n', 'body']) expect(wrong).toContain(`- ${path}`)
    expect(wrong).toMatch(/Unrecognized key.*added/)
    expect(large).toMatch(/the stub driver takes at most/)
    // @ts-expect-error: what a caller without types can do
    await expect(deadLetters.import(good)).rejects.toThrow(/expected an array/)
  })

  test('a driver that cannot add letters is named', async () => {
    const { deadLetters } = memoryStoreOf(orders, { canAdd: false })
    await expect(deadLetters.import([])).rejects.toThrow(/not supported by the stub driver/)
    await expect(deadLetters.replayEdited('a', { body: '' })).rejects.toMatchObject({ code: 'unsupported' })
  })
})

describe('edited replays', () => {
  test('have new data, in the version of the definition, and keep the message and its headers', async () => {
    const { deadLetters, add, replayed, letters } = memoryStoreOf(orders)
    add('a', { total: 'many' }, { tenant: 'acme' })
    const { id } = (await deadLetters.find('a'))?.message ?? expect.fail('it is undecodable')
    const change = { data: { total: 5 }, definitions: [OrderPlaced] }
    expect(await deadLetters.replayEdited('a', change)).toEqual({ replayed: 1, missing: [] })
    expect(letters).toEqual([])
    const message = await replayed(0)
    expect(message).toMatchObject({ id, version: 2, data: { total: 5 }, metadata: { tenant: 'acme' } })
    expect(await deadLetters.replayEdited('a', change)).toEqual({ replayed: 0, missing: ['a'] })
  })

  test('are refused when the data does not fit; nothing has changed', async () => {
    const { deadLetters, add, letters } = memoryStoreOf(orders)
    add('a', { total: 'many' })
    const before = [...letters]
    const change = { data: { total: 'few' }, definitions: [OrderPlaced] }
    await expect(deadLetters.replayEdited('a', change)).rejects.toThrow(/data\.total/)
    // @ts-expect-error: what a caller without types can do
    await expect(deadLetters.replayEdited('a', { text: 'x' })).rejects.toThrow(/expected \{ data \}/)
    expect(letters).toEqual(before)
  })

  test('of a body as it is drop what was done to the old one', async () => {
    const { deadLetters, letters, replayedLetters } = memoryStoreOf(orders)
    const headers = { 'waybill-stages': 'zstd', 'waybill-content-type': 'application/json', tenant: 'acme' }
    letters.push({ id: 'a', body: Buffer.from([1]), contentType: 'application/octet-stream', headers })
    await expect(deadLetters.replayEdited('a', { data: 1 })).rejects.toThrow(/give a whole body instead/)
    await deadLetters.replayEdited('a', { body: '{}' })
    expect(replayedLetters).toMatchObject([{ contentType: 'application/json', body: Buffer.from('{}') }])
    expect(replayedLetters[0]?.headers).not.toHaveProperty('waybill-stages')
    expect(replayedLetters[0]?.headers).toHaveProperty('tenant', 'acme')
  })

  const steps = ['add', 'discard', 'replay'] as const
  test.each(steps.flatMap((step) => [[step, 'before'] as const, [step, 'after'] as const]))(
    'cut short at %s, %s it is done, leave something to see, and are finished by a repetition',
    async (step, when) => {
      const { deadLetters, add, letters, replayedLetters, failOnce } = memoryStoreOf(orders)
      add('a', { total: 1 })
      failOnce(step, when)
      const change = { data: { total: 2 } }
      await expect(deadLetters.replayEdited('a', change)).rejects.toThrow('cut short')
      expect(letters.length + replayedLetters.length).toBeGreaterThan(0)
      await deadLetters.replayEdited('a', change)
      expect(letters).toEqual([])
      expect(replayedLetters).toHaveLength(1)
    },
  )

  test('another change after one that was cut short replaces it', async () => {
    const { deadLetters, add, letters, replayed, replayedLetters, failOnce } = memoryStoreOf(orders)
    add('a', { total: 1 })
    failOnce('discard', 'after')
    await expect(deadLetters.replayEdited('a', { data: { total: 2 } })).rejects.toThrow('cut short')
    await deadLetters.replayEdited('a', { data: { total: 3 } })
    expect(letters).toEqual([])
    expect(replayedLetters).toHaveLength(1)
    expect((await replayed(0)).data).toEqual({ total: 3 })
  })
})
