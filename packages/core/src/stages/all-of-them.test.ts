import { randomBytes } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Bus } from '../bus/bus.ts'
import { connect } from '../bus/connect.ts'
import { fixed } from '../lib/retry.ts'
import { defineMessage } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import type { Stage } from '../messages/stage.ts'
import { defineTopic } from '../messages/topic.ts'
import { claimCheck } from './claim-check.ts'
import type { ClaimStore } from './claim-store.ts'
import { compress } from './compress.ts'
import { encrypt } from './encrypt.ts'

const bodies = new Map<string, Uint8Array>()
const store: ClaimStore = {
  put: async (id, body) => void bodies.set(id, body),
  get: async (id) => bodies.get(id),
  remove: async (id) => void bodies.delete(id),
}
const keys = { '2026-11': randomBytes(32) }
const buses: Bus[] = []
afterEach(async () => {
  for (const bus of buses.splice(0)) await bus.close({ timeout: 0 })
  bodies.clear()
})

async function open(stages: readonly Stage[], groups = ['billing']) {
  const bus = await connect({ url: 'memory:', console: false, stages })
  buses.push(bus)
  const topic = defineTopic('orders', { groups })
  const Placed = defineMessage(topic, 'order.placed', { schema: z.object({ lines: z.array(z.string()) }) })
  const got: Message[] = []
  const consume = (group: string, fails = 0) =>
    bus
      .consumer(group, { retry: { attempts: 2, backoff: fixed(5) } })
      .on(Placed, (message) => {
        got.push(message)
        if (got.length <= fails) throw new Error('not yet')
      })
      .start()
  const letters = async () => {
    const found = []
    for await (const letter of bus.group(topic, 'billing').deadLetters.list()) found.push(letter)
    return found
  }
  return { bus, topic, Placed, got, consume, letters }
}

async function until(met: () => boolean | Promise<boolean>) {
  for (let tries = 0; !(await met()); tries += 1) {
    if (tries > 2000) throw new Error('Not in time')
    await setTimeout(5)
  }
}

const all = [
  compress({ above: '1kb' }),
  encrypt({ keys, use: '2026-11' }),
  claimCheck({ store, above: '10kb', remove: 'when-done' }),
]
const small = { lines: ['o-1'] }
const large = { lines: Array.from({ length: 3000 }, () => crypto.randomUUID()) }

describe('all stages together', () => {
  test('carry small and large bodies through retry, dead letter and replay, and leave nothing behind', async () => {
    const { bus, topic, Placed, got, consume, letters } = await open(all)
    await consume('billing', 2)
    await bus.producer().send(Placed, large)
    await until(async () => (await letters()).length === 1)
    expect((await letters())[0]).toMatchObject({ reason: 'attempts-exhausted', message: { data: large } })
    expect(bodies.size).toBe(1)
    expect(Buffer.from([...bodies.values()][0] ?? []).includes('lines')).toBe(false)
    await bus.group(topic, 'billing').deadLetters.replayAll()
    await until(() => got.length === 3 && bodies.size === 0)
    await bus.producer().send(Placed, small)
    await until(() => got.length === 4)
    expect(got.map(({ data }) => data)).toEqual([large, large, large, small])
    expect(bodies.size).toBe(0)
  })

  test('keep a body until the last of its groups is done', async () => {
    const { bus, Placed, got, consume } = await open(all, ['billing', 'shipping'])
    await consume('billing')
    await bus.producer().send(Placed, large)
    await until(() => got.length === 1 && [...bodies.keys()].some((id) => id.endsWith('.done-0')))
    await consume('shipping')
    await until(() => got.length === 2 && bodies.size === 0)
    expect(got.map(({ data }) => data)).toEqual([large, large])
  })

  test('make one dead letter of a message whose body is gone', async () => {
    const { bus, Placed, consume, letters } = await open(all)
    await bus.producer().send(Placed, large)
    bodies.clear()
    await consume('billing')
    await until(async () => (await letters()).length === 1)
    expect((await letters())[0]).toMatchObject({ reason: 'undecodable' })
    expect((await letters())[0]?.error?.message).toContain('is gone from the claim store')
  })

  test('make one dead letter of a body that was changed in the store', async () => {
    const { bus, Placed, consume, letters } = await open(all)
    await bus.producer().send(Placed, large)
    for (const [id, body] of bodies) bodies.set(id, body.with(100, (body[100] ?? 0) ^ 1))
    await consume('billing')
    await until(async () => (await letters()).length === 1)
    expect((await letters())[0]?.error?.message).toContain(
      'The stage "encrypt" cannot be undone: It was changed',
    )
  })
})
