import { setTimeout as sleep } from 'node:timers/promises'
import type { Bus, Consumer, IdempotencyStore } from '@waybill/core'
import { formatMoney } from './format.ts'
import { OrderPlaced, PaymentCaptured } from './messages.ts'

export interface Email {
  readonly to: string
  readonly kind: 'confirmation' | 'receipt'
  readonly text: string
}

/** Writes to the customer twice: when the order is in, and when it is paid. */
export function mail(bus: Bus, outbox: Email[], store: IdempotencyStore): Consumer {
  return bus
    .consumer('mail', { concurrency: 10, idempotency: { store, lease: '2s' } })
    .on(OrderPlaced, async ({ data: { orderId, customer } }) => {
      await sleep(5)
      const text = `Dear ${customer.name}, we have your order ${orderId}.`
      outbox.push({ to: customer.email, kind: 'confirmation', text })
    })
    .on(PaymentCaptured, async ({ data: { orderId, customer, currency, amount, receipt } }) => {
      await sleep(5)
      const text = `Dear ${customer.name}, you paid ${formatMoney(amount, currency)} for ${orderId}. Receipt ${receipt}.`
      outbox.push({ to: customer.email, kind: 'receipt', text })
    })
}
