/** All that the shop's parts know of each other: two topics and a message on each. */
import { defineMessage, defineTopic } from '@waybill/core'
import { z } from 'zod'

// Each run of the demonstration gets topics of its own, so that on a broker that keeps things a second run does not
// meet what the first left behind. A real shop writes defineTopic('orders', …).
const run = process.env.CHECKOUT_RUN ?? `checkout-${Date.now().toString(36)}`

export const orders = defineTopic(`${run}.orders`, { groups: ['billing', 'stock', 'mail'] })
export const payments = defineTopic(`${run}.payments`, { groups: ['mail'] })

/** Money in the smallest unit of its currency (cents, yen), so that sums are exact. */
const amount = z.int().positive()
const currency = z.enum(['EUR', 'USD', 'GBP', 'CHF', 'JPY'])
const customer = z.object({
  name: z.string().min(1),
  email: z.email({ pattern: z.regexes.unicodeEmail }),
})

const order = z
  .object({
    orderId: z.string().min(1),
    placedAt: z.iso.datetime(),
    customer,
    currency,
    items: z
      .array(z.object({ sku: z.string().min(1), quantity: z.int().positive(), unitPrice: amount }))
      .min(1),
    total: amount,
    card: z.object({ issuer: z.string().min(1), last4: z.string().regex(/^\d{4}$/) }),
  })
  .refine(
    ({ items, total }) => total === items.reduce((sum, item) => sum + item.quantity * item.unitPrice, 0),
    {
      path: ['total'],
      message: 'is not the sum of the items',
    },
  )

export type Order = z.output<typeof order>

export const OrderPlaced = defineMessage(orders, 'order.placed', { schema: order })

export const PaymentCaptured = defineMessage(payments, 'payment.captured', {
  schema: z.object({ orderId: z.string(), customer, currency, amount, receipt: z.string() }),
})
