import { z } from 'zod'

/** What Waybill validates each event with, on both sides. */
export const eventSchema = z.object({
  sequence: z.number(),
  key: z.string(),
  orderId: z.string(),
  customer: z.object({ id: z.string(), name: z.string(), email: z.string() }),
  currency: z.string(),
  total: z.number(),
  placedAt: z.string(),
  items: z.array(z.object({ sku: z.string(), quantity: z.number(), price: z.number() })),
  note: z.string(),
})
