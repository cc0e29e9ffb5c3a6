import { setTimeout } from 'node:timers/promises'
import {
  type Bus,
  type ConnectOptions,
  connect,
  defineMessage,
  defineTopic,
  type Message,
  memory,
} from '@waybill/core'
import type { Adapter, OutboundMessage, Outcome } from '@waybill/core/driver'
import { MessagingError } from '@waybill/core/driver'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type BridgeOptions, openBridge } from './index.ts'

const plain = defineTopic('orders', { groups: ['billing'] })
const ordered = defineTopic('accounts', { ordered: true, groups: ['billing'] })
const schema = z.object({ n: z.number() })
const Placed = defineMessage(plain, 'order.placed', { schema })
const Booked = defineMessage(ordered, 'account.booked', { schema, key: ({ n }) => `k${n % 3}` })

const opened: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

let tests = 0
/** Two brokers of the test's own, `a` and `b`, with the topics there. */
async function brokers(at: { readonly b?: Partial<ConnectOptions> } = {}) {
  tests += 1
  const urls = { a: `memory:a${tests}`, b: `memory:b${tests}` }
  const open = async (url: string, options: Partial<ConnectOptions> = {}) => {
    const bus = await connect({ url, console: false, topics: [plain, ordered], ...options })
    opened.push(() => bus.close({ timeout: 0 }))
    return bus
  }
  return { urls, a: await open(urls.a), b: await open(urls.b, at.b) }
}

async function bridge(options: BridgeOptions) {
  const made = await openBridge({ on: { failure: () => {}, refused: () => {} }, ...options })
  opened.push(() => made.close({ timeout: 0 }))
  return made
}

async function recorder(bus: Bus, definition: typeof Placed | typeof Booked): Promise<Message[]> {
  const got: Message[] = []
  await bus
    .consumer('billing')
    .on(definition, (message) => void got.push(message))
    .start()
  return got
}

async function until(met: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await met()); tries += 1) {
    if (tries > 2000) throw new Error('Not in time')
    await setTimeout(5)
  }
}

/** The memory broker, with a `publish` of the test's own around it. */
function around(
  publish: (
    batch: readonly OutboundMessage[],
    next: () => Promise<readonly Outcome[]>,
  ) => Promise<readonly Outcome[]>,
): Adapter {
  const adapter = memory()
  return {
    ...adapter,
    connect: async (url, context) => {
      const driver = await adapter.connect(url, context)
      const original = driver.publish.bind(driver)
      driver.publish = (batch) => publish(batch, () => original(batch))
      return driver
    },
  }
}

const refusal = (code: 'too-large' | 'access-denied' | 'disconnected', retryable = false): Outcome => ({
  ok: false,
  error: new MessagingError(code, 'no', { retryable, fate: 'not-sent' }),
})

describe('what is sent at one broker', () => {
  test('arrives at the other as it was, once, and stays where it was for the other groups', async () => {
    const { urls, a, b } = await brokers()
    const [there, here] = [await recorder(b, Placed), await recorder(a, Placed)]
    const moving = await bridge({ from: urls.a, to: urls.b, topics: ['orders'] })
    const options = { metadata: { tenant: 'acme' }, expiresIn: '1h', correlationId: 'c-1' } as const
    const sent = await a.producer({ source: 'shop' }).send(Placed, { n: 1 }, options)
    await until(() => there.length === 1 && here.length === 1)
    expect(there).toEqual([sent])
    const [stats] = await moving.drained({ quiet: 50 })
    expect(stats).toMatchObject({ topic: 'orders', group: 'bridge', moved: 1, refused: 0, waiting: 0 })
  })

  test('keeps its order by key, also when the target fails in the middle', async () => {
    const { urls, a, b } = await brokers()
    const there = await recorder(b, Booked)
    let calls = 0
    const adapter = around(async (batch, next) => {
      calls += 1
      // The broker has the first of the batch; of the others nothing is known, or they are refused for now.
      if (calls % 3 !== 0) return batch.map(() => refusal('disconnected', true))
      return next()
    })
    await bridge({ from: urls.a, to: { url: urls.b, adapter }, topics: ['accounts'] })
    for (let n = 0; n < 60; n += 1) await a.producer().send(Booked, { n })
    await until(() => there.length === 60)
    for (const [key, messages] of Map.groupBy(there, (message) => message.key)) {
      const numbers = messages.map(({ data }) => (data as { n: number }).n)
      expect(numbers, key).toEqual(numbers.toSorted((one, other) => one - other))
    }
  })

  test('is moved later when it is delayed, when it is due', async () => {
    const { urls, a, b } = await brokers()
    const there = await recorder(b, Placed)
    const moving = await bridge({ from: urls.a, to: urls.b, topics: ['orders'] })
    const sentAt = performance.now()
    await a.producer().send(Placed, { n: 1 }, { delay: 1500 })
    expect((await moving.stats())[0]).toMatchObject({ moved: 0, delayed: 1 })
    await until(() => there.length === 1)
    expect(performance.now() - sentAt).toBeGreaterThanOrEqual(1500)
  })
})

test('what the target refuses for good is in the dead letters of the bridge’s group, with the reason', async () => {
  const { urls, a, b } = await brokers()
  const there = await recorder(b, Placed)
  const refused: unknown[] = []
  const adapter = around(async (batch, next) =>
    batch.some(({ body }) => Buffer.from(body).includes('"n":13'))
      ? batch.map(() => refusal('too-large'))
      : next(),
  )
  const moving = await bridge({
    from: urls.a,
    to: { url: urls.b, adapter },
    topics: ['orders'],
    on: { refused: ({ message, error }) => refused.push([message?.id, error?.message]) },
  })
  const bad = await a.producer().send(Placed, { n: 13 })
  const good = await a.producer().send(Placed, { n: 1 })
  await until(() => there.length === 1 && refused.length === 1)
  expect(there).toEqual([good])
  expect(refused).toEqual([[bad.id, expect.stringMatching(/^The target refused it \(too-large\): .*no$/)]])
  const letters = []
  const group = a.group(plain, 'bridge', { allowUndeclaredGroup: true })
  for await (const letter of group.deadLetters.list()) letters.push(letter)
  expect(letters).toMatchObject([{ message: { id: bad.id }, error: { message: /too-large/ } }])
  expect((await moving.stats())[0]).toMatchObject({ moved: 1, refused: 1 })
})

test('what is wrong with the target and not with the message keeps the message in hand, and is shown', async () => {
  const { urls, a, b } = await brokers()
  const there = await recorder(b, Placed)
  let isDenied = true
  const adapter = around(async (batch, next) =>
    isDenied ? batch.map(() => refusal('access-denied')) : next(),
  )
  const failures: string[] = []
  const moving = await bridge({
    from: urls.a,
    to: { url: urls.b, adapter },
    topics: ['orders'],
    on: { failure: ({ what }) => failures.push(what) },
  })
  await a.producer().send(Placed, { n: 1 })
  await until(async () => (await moving.stats())[0]?.error?.code === 'access-denied')
  expect(failures).toContain('sending to topic orders at the target')
  isDenied = false
  await until(() => there.length === 1)
  expect((await moving.stats())[0]).toMatchObject({ moved: 1, refused: 0 })
  expect((await moving.stats())[0]?.error).toBeUndefined()
})

describe('messages that come back', () => {
  test('are left out by the bridge in the other direction', async () => {
    const { urls, a, b } = await brokers()
    const [here, there] = [await recorder(a, Placed), await recorder(b, Placed)]
    const out = await bridge({ from: urls.a, to: urls.b, topics: ['orders'] })
    const back = await bridge({ from: urls.b, to: urls.a, topics: ['orders'] })
    await a.producer().send(Placed, { n: 1 })
    await b.producer().send(Placed, { n: 2 })
    await until(() => here.length === 2 && there.length === 2)
    const [first, second] = [await out.drained({ quiet: 100 }), await back.drained({ quiet: 100 })]
    expect([first[0]?.moved, first[0]?.looped]).toEqual([1, 1])
    expect([second[0]?.moved, second[0]?.looped]).toEqual([1, 1])
    expect([here.length, there.length]).toEqual([2, 2])
  })

  test('are given up after so many bridges, where a broker has several names', async () => {
    const { urls, a, b } = await brokers()
    const refused: string[] = []
    let name = 0
    const ring = async (from: string, to: string) => {
      name += 1
      await bridge({
        from: { url: from, name: `${name}` },
        to: { url: to, name: `to-${name}` },
        topics: ['orders'],
        maxHops: 3,
        on: { refused: ({ error }) => refused.push(error?.message ?? '') },
      })
    }
    await ring(urls.a, urls.b)
    await ring(urls.b, urls.a)
    const there = await recorder(b, Placed)
    await a.producer().send(Placed, { n: 1 })
    await until(() => refused.length === 1)
    expect(refused[0]).toContain('It has passed 3 bridges (1, 2, 1)')
    expect(there).toHaveLength(2)
  })
})

describe('the bridge’s group', () => {
  test('begins at the earliest message when asked to', async () => {
    const { urls, a, b } = await brokers()
    const there = await recorder(b, Placed)
    await a.producer().send(Placed, { n: 1 })
    await bridge({ from: urls.a, to: urls.b, topics: ['orders'], fromBeginning: true })
    await until(() => there.length === 1)
  })

  test('may be one of the application’s, whose backlog is moved and which stays as it is', async () => {
    const { urls, a, b } = await brokers()
    const there = await recorder(b, Placed)
    await a.producer().send(Placed, { n: 1 })
    const moving = await bridge({ from: urls.a, to: urls.b, topics: ['orders'], asGroup: 'billing' })
    await until(() => there.length === 1)
    const [stats] = await moving.drained({ quiet: 50 })
    expect(stats).toMatchObject({ group: 'billing', moved: 1 })
    await moving.close()
    expect(await a.administration.listGroups(plain)).toEqual(['billing'])
    // Unlike the bridge, the group has never asked for other types.
    const Other = defineMessage(plain, 'order.other', { schema })
    const skipped: unknown[] = []
    a.on('unhandled', (event) => skipped.push(event))
    await recorder(a, Placed)
    await a.producer().send(Other, { n: 2 })
    await until(() => skipped.length === 1)
  })

  test('moves back what was moved, since nobody has handled it', async () => {
    const { urls, a, b } = await brokers()
    await a.producer().send(Placed, { n: 1 })
    const away = await bridge({ from: urls.a, to: urls.b, topics: ['orders'], asGroup: 'billing' })
    await away.drained({ quiet: 50 })
    await away.close()
    const home = await bridge({ from: urls.b, to: urls.a, topics: ['orders'], asGroup: 'billing' })
    const here = await recorder(a, Placed)
    await until(() => here.length === 1)
    expect((await home.stats())[0]).toMatchObject({ moved: 1, looped: 0 })
    expect(await b.group(plain, 'billing').stats()).toMatchObject({ waiting: 0 })
  })
})

test('is closed in time while the target is away, and gives everything back', async () => {
  const { urls, a } = await brokers()
  const adapter = around(async (batch) => batch.map(() => refusal('disconnected', true)))
  const moving = await bridge({ from: urls.a, to: { url: urls.b, adapter }, topics: ['orders', 'accounts'] })
  for (let n = 0; n < 10; n += 1) {
    await a.producer().send(Placed, { n })
    await a.producer().send(Booked, { n })
  }
  await until(async () => (await moving.stats()).every(({ inFlight }) => inFlight === 10))
  await moving.close({ timeout: 50 })
  const group = (topic: typeof plain | typeof ordered) =>
    a.group(topic, 'bridge', { allowUndeclaredGroup: true })
  await until(async () => (await group(plain).stats()).waiting === 10)
  await until(async () => (await group(ordered).stats()).waiting === 10)
})

describe('a bridge is refused', () => {
  const rejects = (options: unknown, message: RegExp | string) =>
    expect(openBridge(options as BridgeOptions)).rejects.toThrow(message)

  test('when its options are wrong, each problem with its path', async () => {
    await rejects(
      { from: 1, to: { url: 'memory:b' }, topics: [], group: 'a', asGroup: 'b', concurrency: 0 },
      /from: expected a URL[\s\S]*topics: expected at least one topic[\s\S]*concurrency:/,
    )
    await rejects(
      { from: 'memory:a', to: 'memory:b', topics: ['x'], group: 'a', asGroup: 'b' },
      /asGroup: the bridge has one group/,
    )
    await rejects({ from: 'memory:a', to: 'memory:a', topics: ['x'] }, /to: both ends are memory:a/)
  })

  test('when there is nothing to move, or nobody to move it to', async () => {
    const { urls } = await brokers()
    await rejects(
      { from: urls.a, to: urls.b, topics: ['ordres'] },
      'has no topic "ordres". It has orders, accounts',
    )
    await rejects(
      { from: urls.a, to: urls.b, topics: ['orders'], asGroup: 'biling' },
      'Topic "orders" has no group "biling" at the source whose place the bridge could take. It has billing',
    )
    const withoutReplay = memory()
    const adapter: Adapter = {
      ...withoutReplay,
      connect: async (url, context) => {
        const driver = await withoutReplay.connect(url, context)
        return Object.defineProperty(driver, 'capabilities', {
          value: { ...driver.capabilities, replay: false },
        })
      },
    }
    const nowhere = { url: 'memory:nowhere', adapter }
    await rejects({ from: urls.a, to: nowhere, topics: ['orders'] }, /would keep its messages for nobody/)
    await expect(
      openBridge({ from: urls.a, to: nowhere, topics: ['orders'], groups: 'same' }),
    ).resolves.toBeDefined()
  })

  test('when the topic is ordered on one side only', async () => {
    const { urls } = await brokers()
    const other = await connect({ url: 'memory:other', topics: [defineTopic('accounts')] })
    opened.push(() => other.close())
    await rejects(
      { from: urls.a, to: 'memory:other', topics: ['accounts'] },
      'Topic "accounts" is ordered at the source and not at the target',
    )
  })
})
