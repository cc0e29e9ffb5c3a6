import type { Bus } from '@waybill/core'
import type { Database } from '@waybill/postgres'
import { OrderPlaced, orderOf } from './orders.ts'
import { callMany, measured, type Pair } from './pair.ts'

const messages = 20_000
const stored = 1000
const callers = 256

/**
 * A relay at its defaults that finds a full outbox, from its start until all has been confirmed by the broker and removed from the
 * database, beside as many sends of the same bus from many callers, each awaited. `empty` removes what the broker has.
 */
export function relayPair(bus: Bus, database: Database, empty: () => Promise<unknown>): Pair {
  const producer = bus.producer({ source: 'bench' })
  const outbox = database.outbox({ source: 'bench' })
  const fill = async () => {
    await database.query(`TRUNCATE ${database.dialect.table('outbox')}`)
    for (let first = 0; first < messages; first += stored) {
      const orders = Array.from({ length: stored }, (_, index) => orderOf(first + index))
      const batch = orders.map((data) => ({ definition: OrderPlaced, data }))
      await database.transaction((transaction) => outbox.sendAll(transaction, batch))
    }
  }
  const drain = async () => {
    await using relay = outbox.relay(bus)
    const done = Promise.withResolvers<void>()
    let left = messages
    relay.on('relayed', (batch) => {
      left -= batch.messages
      if (left <= 0) done.resolve()
    })
    await relay.start()
    await done.promise
  }
  return {
    title: 'relay beside send alone',
    target: 0.5,
    rounds: 7,
    warmUp: 1,
    async ours() {
      await empty()
      await fill()
      return await measured(drain)
    },
    async theirs() {
      await empty()
      return await measured(() => callMany(messages, callers, (n) => producer.send(OrderPlaced, orderOf(n))))
    },
  }
}
