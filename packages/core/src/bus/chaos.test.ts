import { expect, test } from 'vitest'
import { z } from 'zod'
import type { Consumer } from '../consuming/consumer.ts'
import { memoryIdempotencyStore } from '../idempotency/idempotency.ts'
import { fixed } from '../lib/retry.ts'
import { RetryAfter } from '../lib/retry-after.ts'
import { settle } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import { defineTopic } from '../messages/topic.ts'
import { createTestBus } from '../testing.ts'

/** The same numbers for the same seed, so that a failure can be looked at (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const schema = z.object({ n: z.number(), key: z.string() })

interface Scene {
  readonly ordered: boolean
  readonly idempotent: boolean
  readonly batched: boolean
}

/**
 * Consumers of one group come, go, pause and stall at random, handlers fail in every way there is; then everything is
 * well again. Whatever happened, nothing may be lost, nothing stuck, no limit passed and no key out of order.
 */
async function play(seed: number, { ordered, idempotent, batched }: Scene): Promise<void> {
  const random = randomOf(seed)
  const pick = (count: number) => Math.floor(random() * count)
  const topic = defineTopic('chaos', { ordered, groups: ['group'] })
  const Numbered = defineMessage(topic, 'numbered', { schema, key: ({ key }) => key })
  const bus = await createTestBus({ topics: [topic] })
  const { clock } = bus
  const store = memoryIdempotencyStore({ clock })
  const effects = new Map<number, number>()
  const firstEffects: { readonly n: number; readonly key: string }[] = []
  const stalled = new Set<() => void>()
  const abandoned = new Set<string | undefined>()
  bus.bus.on('abandoned', ({ message }) => abandoned.add(message?.id))
  const mostAtOnce: [number, number][] = []
  let isCalm = false

  const effect = ({ n, key }: { n: number; key: string }) => {
    if (!effects.has(n)) firstEffects.push({ n, key })
    effects.set(n, (effects.get(n) ?? 0) + 1)
  }

  const misbehave = async () => {
    if (isCalm) return
    const fate = pick(10)
    if (fate === 0) throw new Error('unlucky')
    if (fate === 1) throw new RetryAfter(pick(5000))
    if (fate === 2) return Promise.reject(undefined)
    if (fate === 3) await new Promise<void>((resolve) => clock.after(pick(20_000), resolve))
    if (fate === 4) await new Promise((resolve) => setImmediate(resolve))
    if (fate === 5 && pick(4) === 0) await new Promise<void>((resolve) => stalled.add(resolve))
  }

  const consumers: Consumer[] = []
  const start = async () => {
    const concurrency = 1 + pick(4)
    let running = 0
    const within = async (run: () => Promise<void>) => {
      running += 1
      mostAtOnce.push([running, concurrency])
      try {
        await run()
      } finally {
        running -= 1
      }
    }
    const consumer = bus.bus.consumer('group', {
      concurrency,
      lease: '10s',
      maxLease: '30s',
      maxDeliveries: 1_000_000,
      retry: { attempts: 1_000_000, backoff: fixed(pick(3000)) },
      ...(idempotent && { idempotency: { store, lease: '20s' } }),
    })
    if (batched) {
      consumer.onBatch(Numbered, { size: 1 + pick(4), wait: pick(2000) }, (messages, { fail }) =>
        within(async () => {
          await misbehave()
          for (const message of messages) {
            if (!isCalm && pick(6) === 0) fail(message, new Error('this one'))
            else effect(message.data)
          }
        }),
      )
    } else {
      consumer.on(Numbered, ({ data }) =>
        within(async () => {
          await misbehave()
          effect(data)
        }),
      )
    }
    consumers.push(consumer)
    await consumer.start()
  }

  const producer = bus.bus.producer()
  const total = 60
  let sent = 0
  const send = async () => {
    if (sent === total) return
    sent += 1
    await producer.send(Numbered, { n: sent, key: `k${sent % 3}` }, { id: String(sent) })
  }

  await start()
  for (let step = 0; step < 150; step += 1) {
    const what = pick(10)
    if (what <= 4) await send()
    else if (what === 5) consumers[pick(consumers.length)]?.pause()
    else if (what === 6) consumers[pick(consumers.length)]?.resume()
    else if (what === 7 && consumers.length < 4) await start()
    else if (what === 8 && consumers.length > 1) {
      const [leaving] = consumers.splice(pick(consumers.length), 1)
      void leaving?.stop({ timeout: pick(2) === 0 ? 0 : pick(10_000) })
    } else await clock.advance(pick(8000))
    if (random() < 0.3) await settle()
  }

  isCalm = true
  while (sent < total) await send()
  for (const consumer of consumers) consumer.resume()
  for (const end of stalled) end()
  if (consumers.length === 0) await start()
  await clock.advance('10m')
  await bus.idle()

  const { broker } = bus.bus.native('memory')
  const group = broker.topics.get('chaos')?.groups.get('group')
  expect({
    waiting: group?.waiting,
    inFlight: group?.inFlight,
    delayed: group?.delayed,
    dead: group?.dead.size,
  }).toEqual({ waiting: 0, inFlight: 0, delayed: 0, dead: 0 })
  expect(effects.size).toBe(total)
  expect(mostAtOnce.filter(([running, concurrency]) => running > concurrency)).toEqual([])
  if (idempotent) {
    // Nobody renews the mark of a handler that runs on after its consumer has stopped without it.
    const twice = [...effects].filter(([n, count]) => count > 1 && !abandoned.has(String(n)))
    expect(twice).toEqual([])
  }
  if (ordered) {
    for (const key of ['k0', 'k1', 'k2']) {
      const numbers = firstEffects.filter((each) => each.key === key).map(({ n }) => n)
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
    }
  }
  await bus[Symbol.asyncDispose]()
}

const scenes: [string, Scene][] = [
  ['unordered', { ordered: false, idempotent: false, batched: false }],
  ['ordered', { ordered: true, idempotent: false, batched: false }],
  ['idempotent', { ordered: false, idempotent: true, batched: false }],
  ['ordered and idempotent', { ordered: true, idempotent: true, batched: false }],
  ['batched', { ordered: false, idempotent: false, batched: true }],
  ['batched and idempotent', { ordered: false, idempotent: true, batched: true }],
  ['batched and ordered', { ordered: true, idempotent: false, batched: true }],
]

// A few in every run; SEEDS=1000 for a long look.
const seeds = Number(process.env.SEEDS ?? 2)

test.each(scenes)(
  'whatever happens to consumers and handlers (%s), nothing is lost, stuck or out of order',
  async (_name, scene) => {
    for (let seed = 0; seed < seeds; seed += 1) {
      await play(seed, scene).catch((error: unknown) => {
        throw new Error(`With seed ${seed}: ${String(error)}`, { cause: error })
      })
    }
  },
)
