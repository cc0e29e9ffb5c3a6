/**
 * How long the scripts of the Redis adapter hold up the server at worst, as its own slow log counts it:
 * `node --conditions=@waybill/source benchmarks/src/slow-scripts.ts [URL]`. Without a URL it starts a server.
 *
 * The slow log counts waits for the processor and for memory too. So a control runs beside the scripts: what it takes
 * beyond its median, which is the same work each time, the machine adds to any script.
 */
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { adapter } from '@waybill/adapter-redis'
import {
  type Driver,
  type OutboundMessage,
  parseBrokerUrl,
  type Subscription,
  systemClock,
} from '@waybill/core/driver'
import { Redis } from 'ioredis'
import { z } from 'zod'
import { startBroker } from '../../conformance/src/bench/brokers/index.ts'
import { driverScripts, script } from '../../packages/adapter-redis/src/scripts/script.ts'

const { positionals } = parseArgs({ allowPositionals: true })
const broker = positionals[0] === undefined ? await startBroker('redis') : undefined
const url = positionals[0] ?? broker?.url ?? ''
const server = new Redis(url)
const names = new Map(driverScripts.map((name) => [script(name).sha, name]))
const logged = z.array(z.tuple([z.number(), z.number(), z.number(), z.array(z.string())]).rest(z.unknown()))
const group = { name: 'g', types: ['#'], wishes: [], from: 'latest' } as const
const kibibyte = 1024

/** As much work as its argument says, and no data. */
const control = 'local sum = 0 for n = 1, tonumber(ARGV[1]) do sum = sum + n % 7 end return sum'
const controlMs = 4
const controlPauseMs = 10

const driver: Driver = await adapter.connect(parseBrokerUrl(url), {
  ...{ native: undefined, instance: 'slow-scripts', clock: systemClock, emit: () => undefined },
  signal: new AbortController().signal,
})

const topicOf = (name: string, native: Record<string, unknown> = {}) => ({
  ...{ name, ordered: false, partitions: 1, native: { redis: native } },
})
type Topic = ReturnType<typeof topicOf>

const messageOf = (topic: Topic, n: number, bytes: number, delayMs = 0): OutboundMessage => ({
  ...{ topic, type: 't', id: `m-${n}`, key: undefined, body: Buffer.alloc(bytes), contentType: 'text/plain' },
  ...{ attributes: { source: 's' }, headers: {}, delayMs, priority: undefined, expiresAt: undefined },
})

async function fill(topic: Topic, count: number, bytes: number, delayMs = 0): Promise<void> {
  await driver.apply({ topics: [{ topic, groups: [group] }] }, 'create')
  for (let first = 0; first < count; first += 100) {
    const batch = Array.from({ length: Math.min(100, count - first) }, (_, n) => n + first)
    await driver.publish(batch.map((n) => messageOf(topic, n, bytes, delayMs)))
  }
}

const join = (topic: Topic) =>
  driver.subscribe({ topic, group, prefetch: 1000, maxPrefetch: 1000, leaseMs: 30_000, broadcast: false })

async function receive(member: Subscription, count: number, verdict?: 'ack' | 'dead-letter'): Promise<void> {
  for (let received = 0; received < count; ) {
    const deliveries = await member.receive(1000, AbortSignal.timeout(10_000))
    received += deliveries.length
    const kind =
      verdict === 'ack' ? ({ kind: 'ack' } as const) : ({ kind: 'dead-letter', headers: {} } as const)
    if (verdict !== undefined)
      await member.settle(deliveries.map((delivery) => ({ delivery, verdict: kind })))
  }
}

/** Milliseconds of each call that the server ran while `act` did, by script. */
async function timesDuring(act: () => Promise<unknown>): Promise<Map<string, number[]>> {
  await server.config('SET', 'slowlog-log-slower-than', '0')
  await server.slowlog('RESET')
  await act()
  await server.config('SET', 'slowlog-log-slower-than', '-1')
  const took = new Map<string, number[]>()
  for (const [, , microseconds, [command = '', sha = '']] of logged.parse(
    await server.slowlog('GET', 1_000_000),
  )) {
    if (!/^EVAL/i.test(command)) continue
    const name = sha === control ? 'control' : (names.get(sha) ?? sha)
    took.set(name, [...(took.get(name) ?? []), microseconds / 1000])
  }
  return took
}

/** How much work takes the control as long as `controlMs` here. */
async function calibrate(): Promise<number> {
  const tried = 100_000
  const took = await timesDuring(async () => {
    for (let count = 0; count < 50; count += 1) await server.eval(control, 0, tried)
  })
  const times = (took.get('control') ?? []).sort((a, b) => a - b)
  return Math.round((tried * controlMs) / (times[Math.floor(times.length / 2)] ?? controlMs))
}

async function beside(work: number, act: () => Promise<unknown>): Promise<void> {
  let isRunning = true
  const running = (async () => {
    while (isRunning) {
      await server.eval(control, 0, work)
      await setTimeout(controlPauseMs)
    }
  })()
  await act()
  isRunning = false
  await running
}

async function forks(): Promise<number> {
  return Number(/total_forks:(\d+)/.exec(await server.info('stats'))?.[1] ?? 0)
}

/** What each script took, at the median and at worst. */
async function measure(what: string, act: () => Promise<unknown>): Promise<void> {
  const forksBefore = await forks()
  const took = await timesDuring(() => beside(controlWork, act))
  console.log(`${what} (${(await forks()) - forksBefore} forks)`)
  for (const [name, times] of took) {
    times.sort((a, b) => a - b)
    const at = (share: number) =>
      (times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? 0).toFixed(2)
    console.log(
      `  ${name.padEnd(16)} ${String(times.length).padStart(5)} calls, median ${at(0.5)}, 99 % ${at(0.99)}, most ${at(1)} ms`,
    )
  }
}

await server.config('SET', 'slowlog-max-len', '1000000')
const controlWork = await calibrate()

const due = topicOf('due')
await measure('publish 200 delayed messages of 1 MiB', () => fill(due, 200, kibibyte * kibibyte, 2000))
await setTimeout(2100)
const dueMember = await join(due)
await measure('200 messages of 1 MiB that are due at once, and are handled', () =>
  receive(dueMember, 200, 'ack'),
)
await dueMember.close()

const held = topicOf('held')
await fill(held, 1000, 256 * kibibyte)
const holder = await join(held)
await measure('1,000 messages of 256 KiB are fetched', () => receive(holder, 1000))
await measure('a stop with them in hand', () => holder.close())
const burier = await join(held)
await measure('they become dead letters', () => receive(burier, 1000, 'dead-letter'))
await measure('which are replayed', () => driver.deadLetters(held, 'g').replay('all'))
await burier.close()
await server.del('waybill:{held}:stream')

const ids = topicOf('ids', { deduplication: 1000 })
await driver.apply({ topics: [{ topic: ids, groups: [group] }] }, 'create')
for (let first = 0; first < 300_000; first += 1000) {
  await server.zadd(
    'waybill:{ids}:sent',
    ...Array.from({ length: 1000 }, (_, n) => [1, `old-${first + n}`]).flat(),
  )
}
await measure('300,000 remembered ids are over', async () => {
  while ((await server.zcard('waybill:{ids}:sent')) > 1000) {
    await server.del('waybill:{ids}:tidied')
    await fill(ids, 100, kibibyte)
  }
})

const small = topicOf('small', { retention: { maxLength: 10 } })
await fill(small, 100_000, 100)
const smallMember = await join(small)
await measure('100,000 messages of 100 bytes are handled, and a retention of 10 is kept', () =>
  receive(smallMember, 100_000, 'ack'),
)
await smallMember.close()
await driver.close()
server.disconnect()
await broker?.stop()
