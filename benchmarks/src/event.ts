/** The event that every contender sends: an order, 435 bytes as JSON. */
export interface BenchmarkEvent {
  /** From 1,000,000 on, so that its length never changes. */
  readonly sequence: number
  /** One of 1,000. */
  readonly key: string
  readonly orderId: string
  readonly customer: { readonly id: string; readonly name: string; readonly email: string }
  readonly currency: string
  readonly total: number
  readonly placedAt: string
  readonly items: { readonly sku: string; readonly quantity: number; readonly price: number }[]
  readonly note: string
}

export const eventBytes = 435
export const firstSequence = 1_000_000
export const keys = 1000

const customer = { id: 'c-48151623', name: 'Ada Lovelace', email: 'ada.lovelace@example.com' }
const items = [
  { sku: 'SKU-0001', quantity: 2, price: 19.95 },
  { sku: 'SKU-0002', quantity: 1, price: 89.5 },
  { sku: 'SKU-0003', quantity: 5, price: 4.25 },
]

function event(index: number, note: string): BenchmarkEvent {
  return {
    sequence: firstSequence + index,
    key: `key-${String(index % keys).padStart(4, '0')}`,
    orderId: '0190b5e2-7c44-7a8e-9d3f-1b2c3d4e5f60',
    customer,
    currency: 'EUR',
    total: 150.65,
    placedAt: '2026-11-22T10:15:30.000Z',
    items,
    note,
  }
}

const note = 'n'.repeat(eventBytes - JSON.stringify(event(0, '')).length)

/** The event at a place of the run; events differ in sequence and key only. */
export function makeEvent(index: number): BenchmarkEvent {
  return event(index, note)
}
