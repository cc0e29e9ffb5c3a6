/** The checkout as a saga: it tells each service what to do, and waits for the answer. */
import { defineTopic } from '@waybill/core'
import { defineSaga, Saga } from '@waybill/database'
import { type Effects, handlesOnce, type Service } from '@waybill/example-workers'
import { charge, refund } from './bank.ts'
import { aboutOrder, OrderPlaced, order, run } from './messages.ts'
import { ship } from './shipping.ts'
import { release, reserve } from './stock.ts'

const stock = defineTopic(`${run}.stock`, { groups: ['stock'] })
const ReserveStock = aboutOrder(stock, 'stock.reserve')
const ReleaseStock = aboutOrder(stock, 'stock.release')

const bank = defineTopic(`${run}.bank`, { groups: ['bank'] })
const ChargeCard = aboutOrder(bank, 'card.charge')
const RefundCard = aboutOrder(bank, 'card.refund')

const shipping = defineTopic(`${run}.shipping`, { groups: ['shipping'] })
const ShipParcel = aboutOrder(shipping, 'parcel.ship')

const answers = defineTopic(`${run}.answers`, { groups: ['checkout'] })
const StockReserved = aboutOrder(answers, 'stock.reserved')
const StockRefused = aboutOrder(answers, 'stock.refused')
const StockReleased = aboutOrder(answers, 'stock.released')
const CardCharged = aboutOrder(answers, 'card.charged')
const CardDeclined = aboutOrder(answers, 'card.declined')
const CardRefunded = aboutOrder(answers, 'card.refunded')
const ParcelShipped = aboutOrder(answers, 'parcel.shipped')
const ParcelRefused = aboutOrder(answers, 'parcel.refused')

export const checkout = defineSaga(
  'checkout',
  { data: order, topic: defineTopic(`${run}.timeouts`, { groups: ['checkout'] }) },
  (saga) => [
    saga.startedBy(OrderPlaced, ({ data }) => data),
    saga.step('reserve stock', {
      run: ({ data, send }) => send(ReserveStock, data),
      done: saga.reply(StockReserved),
      refused: saga.reply(StockRefused, () => 'sold out'),
      compensate: ({ data, send }) => send(ReleaseStock, data),
      compensated: saga.reply(StockReleased),
      timeout: '10m',
    }),
    saga.step('charge', {
      run: ({ data, send }) => send(ChargeCard, data),
      done: saga.reply(CardCharged),
      refused: saga.reply(CardDeclined, () => 'the card was declined'),
      compensate: ({ data, send }) => send(RefundCard, data),
      compensated: saga.reply(CardRefunded),
      timeout: '10m',
    }),
    saga.step('ship', {
      run: ({ data, send }) => send(ShipParcel, data),
      done: saga.reply(ParcelShipped),
      refused: saga.reply(ParcelRefused, () => 'nobody delivers there'),
    }),
  ],
)

export function orchestration(effects: Effects): readonly Service[] {
  const { outbox } = effects
  const saga = new Saga(checkout, effects)
  return [
    { group: 'checkout', handlers: saga.handlers() },
    {
      group: 'stock',
      handlers: [
        handlesOnce(effects, ReserveStock, async ({ data }, transaction) => {
          const answer = (await reserve(transaction, data)) ? StockReserved : StockRefused
          await outbox.send(transaction, answer, data)
        }),
        handlesOnce(effects, ReleaseStock, async ({ data }, transaction) => {
          await release(transaction, data)
          await outbox.send(transaction, StockReleased, data)
        }),
      ],
    },
    {
      group: 'bank',
      handlers: [
        handlesOnce(effects, ChargeCard, async ({ data }, transaction) => {
          const answer = (await charge(transaction, data)) ? CardCharged : CardDeclined
          await outbox.send(transaction, answer, data)
        }),
        handlesOnce(effects, RefundCard, async ({ data }, transaction) => {
          await refund(transaction, data)
          await outbox.send(transaction, CardRefunded, data)
        }),
      ],
    },
    {
      group: 'shipping',
      handlers: [
        handlesOnce(effects, ShipParcel, async ({ data }, transaction) => {
          const answer = (await ship(transaction, data)) ? ParcelShipped : ParcelRefused
          await outbox.send(transaction, answer, data)
        }),
      ],
    },
  ]
}
