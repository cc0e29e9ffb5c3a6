/** One contender: each time it is told to, it sends and handles so many messages, and answers with what that took. */
import { connect, defineMessage, defineTopic } from '@waybill/core'
import { makeEvent } from '../event.ts'
import { eventSchema } from '../event-schema.ts'
import { equip } from './contenders.ts'
import type { Taken, Turn } from './turn.ts'

const callers = 64
const [contender = '', url = 'memory:'] = process.argv.slice(2)
const topic = defineTopic(`telemetry-${process.pid}`, { groups: ['bench'] })
const Placed = defineMessage(topic, 'order.placed', { schema: eventSchema })

const bus = await connect({ url, topics: [topic], console: false })
equip(bus, contender)
const producer = bus.producer()

async function send(count: number): Promise<void> {
  let next = 0
  const caller = async () => {
    for (let n = next++; n < count; n = next++) await producer.send(Placed, makeEvent(n))
  }
  await Promise.all(Array.from({ length: callers }, caller))
}

async function handle(count: number): Promise<void> {
  const done = Promise.withResolvers<void>()
  let left = count
  const consumer = bus.consumer('bench', { concurrency: 100 }).on(Placed, () => {
    left -= 1
    if (left === 0) done.resolve()
  })
  await consumer.start()
  await done.promise
  await consumer.stop()
}

async function timed(work: () => Promise<void>): Promise<Taken> {
  const [wallAt, cpuAt] = [performance.now(), process.cpuUsage()]
  await work()
  const { user, system } = process.cpuUsage(cpuAt)
  return { wallMs: performance.now() - wallAt, cpuMs: (user + system) / 1000 }
}

process.on('message', async (messages: number) => {
  const turn: Turn = { send: await timed(() => send(messages)), handle: await timed(() => handle(messages)) }
  process.send?.(turn)
})
process.on('disconnect', async () => {
  if (url !== 'memory:') await bus.administration.deleteTopic(topic)
  await bus.close()
  process.exit()
})
process.send?.('ready')
