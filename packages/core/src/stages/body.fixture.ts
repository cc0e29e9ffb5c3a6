import type { IncomingBody, OutgoingBody } from '../messages/stage.ts'

export const outgoing: OutgoingBody = {
  topic: 'orders',
  groups: ['billing', 'shipping'],
  type: 'order.placed',
  id: 'o-1',
  contentType: 'application/json',
}

export const incoming: IncomingBody = {
  topic: 'orders',
  group: 'billing',
  attributes: { id: 'o-1', type: 'order.placed' },
  contentType: 'application/json',
}
