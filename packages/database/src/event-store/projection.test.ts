import assert from 'node:assert/strict'
import { ConfigurationError, defineMessage, defineTopic } from '@waybill/core'
import { describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { databases } from '../databases.fixture.ts'
import { EventStore } from './event-store.ts'
import { Projection } from './projection.ts'
import { defineProjection, when } from './projection-definition.ts'
import { eventOf } from './stored-event.ts'

const accounts = defineTopic('accounts')
const Opened = defineMessage(accounts, 'account.opened', { schema: z.object({ account: z.string() }) })
const Deposited = defineMessage(accounts, 'account.deposited', {
  schema: z.object({ account: z.string(), cents: z.int() }),
})

describe.each(databases())('a projection on $name', ({ name, ready }) => {
  const open = async () => {
    const database = await ready()
    const events = new EventStore(database)
    const table = name === 'PGlite' ? `balances_${Math.random().toString(36).slice(2)}` : 'balances'
    await database.query(`CREATE TABLE ${table} (account text PRIMARY KEY, cents integer NOT NULL)`)
    const definition = defineProjection('balances', {
      handlers: [
        when(Opened, ({ data }, transaction) =>
          transaction.query(`INSERT INTO ${table} (account, cents) VALUES ($1, 0)`, [data.account]),
        ),
        when(Deposited, ({ data }, transaction) =>
          transaction.query(`UPDATE ${table} SET cents = cents + $2 WHERE account = $1`, [
            data.account,
            data.cents,
          ]),
        ),
      ],
      reset: (transaction) => transaction.query(`DELETE FROM ${table}`),
    })
    return {
      database,
      events,
      table,
      definition,
      deposit: (account: string, cents: number) =>
        database.transaction((transaction) =>
          events.append(transaction, account, [eventOf(Deposited, { account, cents })]),
        ),
      open: (account: string) =>
        database.transaction((transaction) =>
          events.append(transaction, account, [eventOf(Opened, { account })]),
        ),
      balance: async (account: string) =>
        (
          await database.query<{ cents: number }>(`SELECT cents FROM ${table} WHERE account = $1`, [account])
        )[0]?.cents,
    }
  }

  it('tells how far it is behind', async () => {
    const bank = await open()
    const projection = new Projection(bank.events, bank.definition)
    expect(await projection.stats()).toEqual({ waiting: 0, blocked: 0, oldestAgeMs: 0 })
    await bank.open('a')
    await bank.deposit('a', 1)
    expect(await projection.stats()).toMatchObject({ waiting: 2, blocked: 0 })
    await projection.catchUp()
    expect(await projection.stats()).toMatchObject({ waiting: 0, blocked: 0 })
  })

  it('applies each event once, in batches, and goes on where it was', async () => {
    const bank = await open()
    await bank.open('a')
    for (let count = 0; count < 9; count += 1) await bank.deposit('a', 1)
    assert.equal(await new Projection(bank.events, bank.definition, { batch: 3 }).catchUp(), 10)
    assert.equal(await bank.balance('a'), 9)
    await bank.deposit('a', 5)
    // Another process.
    assert.equal(await new Projection(bank.events, bank.definition).catchUp(), 1)
    assert.equal(await new Projection(bank.events, bank.definition).catchUp(), 0)
    assert.equal(await bank.balance('a'), 14)
  })

  it('keeps neither table nor position of a batch that fails', async () => {
    const bank = await open()
    await bank.open('a')
    await bank.deposit('a', 1)
    const failing = defineProjection('balances', {
      handlers: bank.definition.handlers.map((handler) =>
        handler.definition === Deposited
          ? when(Deposited, () => Promise.reject(new Error('no such account')))
          : handler,
      ),
    })
    await expect(new Projection(bank.events, failing).catchUp()).rejects.toThrow('no such account')
    assert.equal(await bank.balance('a'), undefined)
    await new Projection(bank.events, bank.definition).catchUp()
    assert.equal(await bank.balance('a'), 1)
  })

  it('shares the work of one name without applying anything twice', async () => {
    const bank = await open()
    await bank.open('a')
    const members = [1, 2, 3].map(() => new Projection(bank.events, bank.definition, { batch: 1, poll: 1 }))
    for (const member of members) member.start()
    for (let count = 0; count < 20; count += 1) await bank.deposit('a', 1)
    await vi.waitFor(async () => assert.equal(await bank.balance('a'), 20), { timeout: 60_000 })
    await Promise.all(members.map((member) => member.stop()))
    assert.equal(await bank.balance('a'), 20)
  })

  it('is rebuilt from the first event while writes go on', async () => {
    const bank = await open()
    await bank.open('a')
    for (let count = 0; count < 10; count += 1) await bank.deposit('a', 1)
    const projection = new Projection(bank.events, bank.definition, { batch: 2, poll: 1 })
    await projection.catchUp()
    await bank.database.query(`UPDATE ${bank.table} SET cents = 1000`)
    await projection.rebuild()
    assert.equal(await bank.balance('a'), undefined)
    projection.start()
    for (let count = 0; count < 10; count += 1) await bank.deposit('a', 1)
    await vi.waitFor(async () => assert.equal(await bank.balance('a'), 20), { timeout: 60_000 })
    await projection.stop()
  })

  it('shows in its health why it does not go on, and goes on when it can', async () => {
    const bank = await open()
    await bank.deposit('a', 1)
    let isBroken = true
    const definition = defineProjection('broken', {
      handlers: [
        when(Deposited, () => {
          if (isBroken) throw new Error('the index is being built')
        }),
      ],
    })
    const projection = new Projection(bank.events, definition, { poll: 1, retryAfter: 5 })
    assert.equal(projection.health().state, 'stopped')
    projection.start()
    await vi.waitFor(() => assert.equal(projection.health().state, 'failing'))
    assert.match(projection.health().error?.message ?? '', /Projection "broken" failed: the index/)
    isBroken = false
    await vi.waitFor(() => assert.equal(projection.health().state, 'running'))
    await projection.stop()
    await expect(projection.rebuild()).rejects.toMatchObject({ code: 'unsupported' })
  })
})

describe('defineProjection', () => {
  it('lists every problem at once', () => {
    const handlers = [when(Opened, () => {}), when(Opened, () => {})]
    const wrong = () => defineProjection('not a name', { handlers })
    assert.throws(wrong, ConfigurationError)
    assert.throws(wrong, /name: expected 1 to 100[\s\S]*handlers\.1: account\.opened has a handler already/)
  })
})
