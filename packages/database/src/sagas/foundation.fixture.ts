import type { Bus, HandlerContext, MessageDefinition, SendOptions } from '@waybill/core'
import type { Database } from '../database.ts'
import type { Transaction } from '../transaction.ts'

export function foundationOf(bus: Bus, database: Database) {
  const producer = bus.producer()
  const sends = new WeakMap<Transaction, (readonly [MessageDefinition, unknown, SendOptions | undefined])[]>()
  const marked = new Set<string>()
  return {
    database,
    inbox: {
      async once(context: HandlerContext, work: (transaction: Transaction) => Promise<void>) {
        const mark = JSON.stringify(context.idempotencyKey)
        if (marked.has(mark)) return
        const toSend = await database.transaction(async (transaction) => {
          sends.set(transaction, [])
          await work(transaction)
          return sends.get(transaction) ?? []
        })
        marked.add(mark)
        for (const [definition, data, options] of toSend) await producer.send(definition, data, options)
      },
    },
    outbox: {
      async send(
        transaction: Transaction,
        definition: MessageDefinition,
        data: unknown,
        options?: SendOptions,
      ) {
        sends.get(transaction)?.push([definition, data, options])
      },
    },
  }
}
