import { type Bus, type Consumer, exponential, type IdempotencyStore, PermanentError } from '@waybill/core'
import { type Bank, CardDeclined } from './bank.ts'
import { OrderPlaced, PaymentCaptured } from './messages.ts'

/** Charges each order's card, and tells the others once the money is there. */
export function billing(bus: Bus, bank: Bank, store: IdempotencyStore): Consumer {
  const producer = bus.producer({ source: 'billing' })
  return bus
    .consumer('billing', {
      concurrency: 20,
      // Short, since somebody is watching; a shop would wait minutes and hours.
      retry: { attempts: 4, backoff: exponential({ initial: '250ms', max: '2s' }) },
      idempotency: { store, lease: '2s' },
    })
    .on(OrderPlaced, async ({ data: order }, { signal }) => {
      const { receipt, currency, amount } = await bank.charge(order, signal).catch(giveUpIfFinal)
      const { orderId, customer } = order
      // Named after the order: should this be tried again after the send, the second message is the first one's duplicate.
      const id = `${orderId}-captured`
      await producer.send(PaymentCaptured, { orderId, customer, currency, amount, receipt }, { id })
    })
}

function giveUpIfFinal(error: unknown): never {
  if (error instanceof CardDeclined && error.final) throw new PermanentError(error.message, { cause: error })
  throw error
}
