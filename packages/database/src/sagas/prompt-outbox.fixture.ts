import type { Bus, HandlerContext } from '@waybill/core'
import type { Database } from '../database.ts'
import type { Transaction } from '../transaction.ts'
import type { SagaRuntime } from './saga.ts'
import type { SagaSend } from './saga-parts.ts'

/**
 * An inbox, and an outbox that sends as soon as its transaction has committed, by the bus itself: so that tests whose clock
 * stands still need not wait for a relay.
 */
export function withPromptOutbox(bus: Bus, database: Database): SagaRuntime {
  const producer = bus.producer()
  const inbox = database.inbox()
  const written = new WeakMap<Transaction, readonly SagaSend[]>()
  return {
    database,
    inbox: {
      async once(context: HandlerContext, work: (transaction: Transaction) => Promise<void>) {
        const { result = [] } = await inbox.once(context, async (transaction) => {
          await work(transaction)
          return written.get(transaction)
        })
        for (const { definition, data, options } of result) await producer.send(definition, data, options)
      },
    },
    outbox: {
      async sendAll(transaction: Transaction, messages: readonly SagaSend[]) {
        written.set(transaction, [...(written.get(transaction) ?? []), ...messages])
      },
    },
  }
}
