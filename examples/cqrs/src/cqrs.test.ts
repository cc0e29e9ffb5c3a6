import assert from 'node:assert/strict'
import { EventStore } from '@waybill/database'
import { postgres } from '@waybill/postgres'
import { sqlite } from '@waybill/sqlite'
import { describe, expect, it } from 'vitest'
import { deposit, open, Refused, withdraw } from './account.ts'
import { runBank } from './run-bank.ts'

const databases = [
  { name: 'SQLite', make: () => sqlite({ path: ':memory:' }) },
  { name: 'PGlite', make: () => postgres({ url: 'pglite:' }) },
]

describe.each(databases)('the bank on $name', ({ make }) => {
  it('has read models that agree with what was moved, although both are rebuilt meanwhile', async () => {
    await using database = make()
    const { events, problems } = await runBank(database, { accounts: 4, movements: 20, clerks: 4 })
    assert.deepEqual(problems, [])
    assert.ok(events > 4)
  })

  it('decides by the account as it is, however many decide at once', async () => {
    await using database = make()
    await database.migrate()
    const store = new EventStore(database)
    await open(store, 'a', 'Ada')
    await deposit(store, 'a', 100)
    const withdrawals = await Promise.allSettled(Array.from({ length: 5 }, () => withdraw(store, 'a', 40)))
    assert.equal(withdrawals.filter(({ status }) => status === 'fulfilled').length, 2)
    await expect(withdraw(store, 'a', 21)).rejects.toThrow('There are 20 cents on account a, not 21')
    await expect(open(store, 'a', 'Bob')).rejects.toBeInstanceOf(Refused)
    await expect(deposit(store, 'b', 1)).rejects.toBeInstanceOf(Refused)
  })
})
