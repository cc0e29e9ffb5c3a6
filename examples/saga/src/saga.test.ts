import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import { expectedEffects } from './audit.ts'
import { makeOrders } from './make-orders.ts'
import { runShop } from './run-shop.ts'

const minutes = 60_000

describe('the checkout', () => {
  it('is tried with orders that fail at every step', () => {
    const kinds = new Set(makeOrders(40, 7).map((order) => expectedEffects(order).join(', ')))
    assert.deepEqual([...kinds].toSorted(), [
      '',
      'reserved, charged, refunded, released',
      'reserved, charged, shipped',
      'reserved, released',
    ])
  })

  for (const style of ['orchestration', 'choreography'] as const) {
    it(`by ${style} ends complete or compensated, each effect once, although its workers are killed`, {
      timeout: 3 * minutes,
    }, async () => {
      const { completed, cancelled, killed, problems } = await runShop({
        style,
        url: 'memory:',
        orders: 16,
        kills: 3,
        seed: 7,
      })
      assert.deepEqual(problems, [])
      assert.equal(completed + cancelled, 16)
      assert.equal(killed, 3)
    })
  }
})
