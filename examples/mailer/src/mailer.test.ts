import assert from 'node:assert/strict'
import { it } from 'vitest'
import { runShop } from './run-shop.ts'

it('sends one mail for each order, within the limit of the provider, although some fail at first', async () => {
  const { mails, attempts, problems } = await runShop({ url: 'memory:', orders: 80 })
  assert.deepEqual(problems, [])
  assert.equal(mails, 80)
  assert.equal(attempts, 80 + 8 * 2 + 8)
})
