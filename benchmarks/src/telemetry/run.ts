/** One contender's turn: prints the seconds of each work as JSON. */
import { connect, defineMessage, defineTopic } from '@waybill/core'
import { makeEvent } from '../event.ts'
import { eventSchema } from '../event-schema.ts'
import { equip } from './contenders.ts'

const messages = 30_000
const callers = 64
const [contender = 'bare', url = 'memory:'] = process.argv.slice(2)
const topic = defineTopic(`telemetry-${process.pid}`, { groups: ['bench'] })
const Placed = defineMessage(topic, 'order.placed', { schema: eventSchema })

const bus = await connect({ url, topics: [topic], console: false })
equip(bus, contender)
const producer = bus.producer()

async function send(count: number): Promise<number> {
  let next = 0
  const caller = async () => {
    for (let n = next++; n < count; n = next++) await producer.send(Placed, makeEvent(n))
  }
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: callers }, caller))
  return (performance.now() - startedAt) / 1000
}

async function handle(count: number): Promise<number> {
  const done = Promise.withResolvers<void>()
  let left = count
  const consumer = bus.consumer('bench', { concurrency: 100 }).on(Placed, () => {
    left -= 1
    if (left === 0) done.resolve()
  })
  const startedAt = performance.now()
  await consumer.start()
  await done.promise
  const seconds = (performance.now() - startedAt) / 1000
  await consumer.stop()
  return seconds
}

// Warms up both.
await send(messages / 10)
await handle(messages / 10)
const seconds = { send: await send(messages), handle: await handle(messages) }
if (url !== 'memory:') await bus.administration.deleteTopic(topic)
await bus.close()
console.log(JSON.stringify(seconds))
