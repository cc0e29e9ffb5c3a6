import { defineMessage, defineTopic } from '@waybill/core'
import { z } from 'zod'

export const orderSchema = z.object({
  orderId: z.string(),
  total: z.number(),
  lines: z.array(z.string()),
})
export type Order = z.output<typeof orderSchema>

export const topic = defineTopic('bench-orders', { ordered: true, groups: ['bench'] })
export const OrderPlaced = defineMessage(topic, 'order.placed', {
  schema: orderSchema,
  key: ({ orderId }) => orderId,
})

/** Of a thousand keys, in turns. */
export const orderOf = (n: number): Order => ({
  orderId: `o-${n % 1000}`,
  total: n,
  lines: ['pen', 'paper', 'a longer line that makes it an order of usual size'],
})
