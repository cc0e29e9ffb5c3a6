/**
 * What SQS would charge for: requests per 1,000 messages and per idle hour, counted by a gateway before the emulator.
 *
 *     node --conditions=@waybill/source benchmarks/src/requests/sqs.ts
 */
import { adapter } from '@waybill/adapter-sqs'
import { type Bus, connect, defineMessage, defineTopic } from '@waybill/core'
import { z } from 'zod'
import { startBroker } from '../../../conformance/src/bench/brokers/index.ts'
import { Gateway } from '../../../conformance/src/bench/sqs/gateway.ts'

const count = 1000
const idleMs = 30_000

interface Row {
  readonly what: string
  readonly send: number
  readonly receive: number
  readonly settle: number
  readonly others: number
  readonly seconds: number
}

function spentSince(gateway: Gateway, from: number): Omit<Row, 'what' | 'seconds'> {
  const actions = gateway.requests.slice(from).map(({ action }) => action)
  const count = (...names: readonly string[]) => actions.filter((action) => names.includes(action)).length
  const send = count('SendMessageBatch', 'PublishBatch')
  const receive = count('ReceiveMessage')
  const settle = count('DeleteMessageBatch')
  return { send, receive, settle, others: actions.length - send - receive - settle }
}

async function consumeAll(
  gateway: Gateway,
  bus: Bus,
  { concurrency, workMs, ordered = false }: { concurrency: number; workMs: number; ordered?: boolean },
): Promise<Row> {
  const topic = defineTopic(`cost-${crypto.randomUUID().slice(0, 8)}`, { ordered, groups: ['all'] })
  const Event = defineMessage(topic, 'event', {
    schema: z.object({ n: z.number() }),
    key: ({ n }) => `key-${n % 100}`,
  })
  await bus.provision([topic])
  const producer = bus.producer()
  const from = gateway.requests.length
  await Promise.all(Array.from({ length: count }, (_, n) => producer.send(Event, { n })))
  const all = Promise.withResolvers<void>()
  let handled = 0
  const startedAt = performance.now()
  const consumer = bus.consumer('all', { concurrency }).on(Event, async () => {
    if (workMs > 0) await new Promise((resolve) => setTimeout(resolve, workMs))
    handled += 1
    if (handled === count) all.resolve()
  })
  await consumer.start()
  await all.promise
  const seconds = (performance.now() - startedAt) / 1000
  await consumer.stop()
  const what = `${ordered ? 'ordered, ' : ''}handlers of ${workMs} ms, concurrency ${concurrency}`
  return { what, ...spentSince(gateway, from), seconds }
}

async function idle(gateway: Gateway, bus: Bus): Promise<Row> {
  const topic = defineTopic(`idle-${crypto.randomUUID().slice(0, 8)}`, { groups: ['all'] })
  const Event = defineMessage(topic, 'event', { schema: z.object({}) })
  await bus
    .consumer('all')
    .on(Event, () => undefined)
    .start()
  await new Promise((resolve) => setTimeout(resolve, 6000))
  const from = gateway.requests.length
  await new Promise((resolve) => setTimeout(resolve, idleMs))
  const spent = spentSince(gateway, from)
  const anHour = (requests: number) => (requests * 3_600_000) / idleMs
  return {
    what: 'an idle hour of one consumer (from 30 s)',
    send: anHour(spent.send),
    receive: anHour(spent.receive),
    settle: anHour(spent.settle),
    others: anHour(spent.others),
    seconds: idleMs / 1000,
  }
}

await using broker = await startBroker('sqs')
const gateway = await Gateway.start(broker)
const bus = await connect({ url: gateway.url, adapter })
const rows: Row[] = []
for (const concurrency of [1, 10, 20, 100]) {
  rows.push(await consumeAll(gateway, bus, { concurrency, workMs: concurrency === 1 ? 10 : 100 }))
}
rows.push(await consumeAll(gateway, bus, { concurrency: 10, workMs: 0 }))
rows.push(await consumeAll(gateway, bus, { concurrency: 20, workMs: 100, ordered: true }))
rows.push(await idle(gateway, bus))
console.table(
  Object.fromEntries(
    rows.map(({ what, seconds, ...spent }) => [
      what,
      {
        ...spent,
        total: spent.send + spent.receive + spent.settle + spent.others,
        seconds: Number(seconds.toFixed(1)),
      },
    ]),
  ),
)
await bus.close()
await gateway.close()
