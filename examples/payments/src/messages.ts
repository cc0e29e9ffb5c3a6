import { defineMessage, defineTopic } from '@waybill/core'
import { z } from 'zod'

// Each run has topics of its own, so that on a broker that keeps things a second run does not meet the first one's. The
// workers of a run are told its name.
export const run = process.env.RUN ?? `payments-${Date.now().toString(36)}`

export const requests = defineTopic(`${run}.requests`, { groups: ['payments'] })
export const payments = defineTopic(`${run}.payments`, { groups: ['receipts'] })

const payment = z.object({
  paymentId: z.string().min(1),
  customer: z.string().min(1),
  cents: z.int().positive(),
  card: z.string(),
})

export type Payment = z.output<typeof payment>

export const PaymentRequested = defineMessage(requests, 'payment.requested', { schema: payment })

export const PaymentCaptured = defineMessage(payments, 'payment.captured', {
  schema: z.object({ paymentId: z.string(), cents: z.int(), receipt: z.string() }),
})

export const PaymentDeclined = defineMessage(payments, 'payment.declined', {
  schema: z.object({ paymentId: z.string(), reason: z.string() }),
})
