/** Writes the example's orders. The same seed makes the same file: node src/make-orders.ts > orders.ndjson */
import { customers, issuers, products, rates } from './catalogue.ts'

const count = 1200

/** mulberry32: small, and the same numbers everywhere. */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const random = randomNumbers(20_260_314)
const upTo = (limit: number) => Math.floor(random() * limit)

function pick<Item>(items: readonly [Item, ...Item[]]): Item {
  return items[upTo(items.length)] ?? items[0]
}

/** A test card; see bank.ts for what the digits do. Most are good. */
function makeCard() {
  const chance = random()
  if (chance < 0.05) return { issuer: pick(issuers), last4: '0119' }
  if (chance < 0.07) return { issuer: pick(issuers), last4: '0259' }
  if (chance < 0.085) return { issuer: pick(issuers), last4: '9995' }
  if (chance < 0.092) return { issuer: pick(issuers), last4: '9979' }
  if (chance < 0.11) return { issuer: 'Banco Aurora', last4: '4242' }
  return { issuer: pick(issuers), last4: pick(['4242', '4444', '1117', '0505']) }
}

function makeOrder(number: number) {
  const [currency, rate] = pick(rates)
  const items = Array.from({ length: 1 + upTo(3) }, () => {
    const [sku, cents] = pick(products)
    return { sku, quantity: random() < 0.7 ? 1 : 2 + upTo(4), unitPrice: Math.round(cents * rate) }
  })
  const [name, email] = pick(customers)
  return {
    orderId: `o-${String(number).padStart(5, '0')}`,
    placedAt: new Date(Date.UTC(2026, 2, 14, 8) + number * 31_000 + upTo(30) * 1000).toISOString(),
    customer: { name, email },
    currency,
    items,
    total: items.reduce((sum, { quantity, unitPrice }) => sum + quantity * unitPrice, 0),
    card: makeCard(),
  }
}

type Order = ReturnType<typeof makeOrder>

/** Ways in which a request can be no order. */
const spoil: readonly [(order: Order) => string, ...((order: Order) => string)[]] = [
  (order) => JSON.stringify(order).slice(0, 40 + upTo(80)),
  (order) => JSON.stringify({ ...order, customer: undefined }),
  (order) => JSON.stringify({ ...order, total: -order.total }),
  (order) => JSON.stringify({ ...order, items: [] }),
  (order) => JSON.stringify({ ...order, customer: { ...order.customer, email: 'not an address' } }),
  (order) => JSON.stringify({ ...order, currency: 'XXX' }),
  (order) => JSON.stringify({ ...order, total: order.total + 100 }),
  (order) => JSON.stringify({ ...order, orderId: undefined }),
  () => 'GET /checkout HTTP/1.1',
]

const lines: string[] = []
for (let number = 1; lines.length < count; number += 1) {
  const order = makeOrder(number)
  const chance = random()
  if (chance < 0.016) lines.push(pick(spoil)(order))
  else {
    lines.push(JSON.stringify(order))
    // A second click on the button, at once or a little later.
    if (chance > 0.965) lines.splice(lines.length - pick([0, 0, 3, 40]), 0, JSON.stringify(order))
  }
}
console.log(lines.slice(0, count).join('\n'))
