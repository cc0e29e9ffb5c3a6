import { defineMessage, defineTopic, type MessageDefinition } from '@waybill/core'
import { z } from 'zod'

// Each run has topics of its own, so that on a broker that keeps things a second run does not meet the first one's. The
// workers of a run are told its name.
export const run = process.env.RUN ?? `saga-${Date.now().toString(36)}`

export const order = z.object({
  orderId: z.string(),
  sku: z.string(),
  quantity: z.int().positive(),
  /** What it costs, in cents. */
  cents: z.int().positive(),
  card: z.string(),
  address: z.string(),
})

export type Order = z.output<typeof order>

const key = ({ orderId }: { readonly orderId: string }) => orderId

export const orders = defineTopic(`${run}.orders`, { groups: ['checkout', 'stock', 'view'] })

export const OrderPlaced = defineMessage(orders, 'order.placed', { schema: order, key })

/** One of the messages that services send to each other, about an order. */
export function aboutOrder<Group extends string, Type extends string>(
  topic: ReturnType<typeof defineTopic<Group>>,
  type: Type,
): MessageDefinition<z.input<typeof order>, Order, Group, Type> {
  return defineMessage(topic, type, { schema: order, key })
}
