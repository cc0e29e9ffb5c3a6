import { setTimeout as sleep } from 'node:timers/promises'
import type { Bus, Consumer, IdempotencyStore } from '@waybill/core'
import { OrderPlaced } from './messages.ts'

/** What is set aside for customers, in units by product. */
export type Shelf = Map<string, number>

/** Sets aside what was ordered. */
export function stock(bus: Bus, shelf: Shelf, store: IdempotencyStore): Consumer {
  return bus
    .consumer('stock', { concurrency: 5, idempotency: { store, lease: '2s' } })
    .on(OrderPlaced, async ({ data: { items } }) => {
      await sleep(2)
      for (const { sku, quantity } of items) shelf.set(sku, (shelf.get(sku) ?? 0) + quantity)
    })
}
