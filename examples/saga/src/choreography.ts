/** The checkout without a conductor: each service listens to what the others tell, and knows what follows from it. */
import { defineTopic } from '@waybill/core'
import type { Transaction } from '@waybill/database'
import { type Effects, handlesOnce, type Service } from '@waybill/example-workers'
import { charge, refund } from './bank.ts'
import { aboutOrder, type Order, OrderPlaced, run } from './messages.ts'
import { ship } from './shipping.ts'
import { release, reserve } from './stock.ts'

const events = defineTopic(`${run}.events`, { groups: ['stock', 'bank', 'shipping', 'view'] })
const StockReserved = aboutOrder(events, 'stock.reserved')
const StockRefused = aboutOrder(events, 'stock.refused')
const StockReleased = aboutOrder(events, 'stock.released')
const CardCharged = aboutOrder(events, 'card.charged')
const CardDeclined = aboutOrder(events, 'card.declined')
const CardRefunded = aboutOrder(events, 'card.refunded')
const ParcelShipped = aboutOrder(events, 'parcel.shipped')
const ParcelRefused = aboutOrder(events, 'parcel.refused')

/** How an order ended; `placed` only if it has not. Messages come in any order, so an end is final. */
async function view(transaction: Transaction, { orderId }: Order, status: string): Promise<void> {
  await transaction.query(
    `INSERT INTO order_view (order_id, status) VALUES ($1, $2) ON CONFLICT (order_id)
DO UPDATE SET status = excluded.status WHERE order_view.status = 'placed'`,
    [orderId, status],
  )
}

export function choreography(effects: Effects): readonly Service[] {
  const { outbox } = effects
  const putBack = async ({ data }: { readonly data: Order }, transaction: Transaction) => {
    await release(transaction, data)
    await outbox.send(transaction, StockReleased, data)
  }
  return [
    {
      group: 'stock',
      handlers: [
        handlesOnce(effects, OrderPlaced, async ({ data }, transaction) => {
          const told = (await reserve(transaction, data)) ? StockReserved : StockRefused
          await outbox.send(transaction, told, data)
        }),
        handlesOnce(effects, CardDeclined, putBack),
        handlesOnce(effects, CardRefunded, putBack),
      ],
    },
    {
      group: 'bank',
      handlers: [
        handlesOnce(effects, StockReserved, async ({ data }, transaction) => {
          const told = (await charge(transaction, data)) ? CardCharged : CardDeclined
          await outbox.send(transaction, told, data)
        }),
        handlesOnce(effects, ParcelRefused, async ({ data }, transaction) => {
          await refund(transaction, data)
          await outbox.send(transaction, CardRefunded, data)
        }),
      ],
    },
    {
      group: 'shipping',
      handlers: [
        handlesOnce(effects, CardCharged, async ({ data }, transaction) => {
          const told = (await ship(transaction, data)) ? ParcelShipped : ParcelRefused
          await outbox.send(transaction, told, data)
        }),
      ],
    },
    {
      group: 'view',
      handlers: [
        handlesOnce(effects, OrderPlaced, ({ data }, transaction) => view(transaction, data, 'placed')),
        handlesOnce(effects, ParcelShipped, ({ data }, transaction) => view(transaction, data, 'completed')),
        handlesOnce(effects, StockRefused, ({ data }, transaction) => view(transaction, data, 'cancelled')),
        handlesOnce(effects, StockReleased, ({ data }, transaction) => view(transaction, data, 'cancelled')),
      ],
    },
  ]
}
