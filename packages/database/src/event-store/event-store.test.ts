import assert from 'node:assert/strict'
import { connect, defineMessage, defineTopic, InvalidMessageError } from '@waybill/core'
import { describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import type { Database } from '../database.ts'
import { databases } from '../databases.fixture.ts'
import { EventStore } from './event-store.ts'
import { eventOf } from './stored-event.ts'
import { StreamConflict } from './stream-conflict.ts'

const accounts = defineTopic('accounts', { groups: ['audit'] })
const Opened = defineMessage(accounts, 'account.opened', { schema: z.object({ owner: z.string() }) })
const Deposited = defineMessage(accounts, 'account.deposited', {
  version: 2,
  schema: z.object({ cents: z.int().positive() }),
  upcast: { 1: ({ euros }) => ({ cents: Number(euros) * 100 }) },
})
const FirstDeposited = defineMessage(accounts, 'account.deposited', { schema: z.object({ euros: z.int() }) })

const opened = eventOf(Opened, { owner: 'Ada' })
const deposited = (cents: number) => eventOf(Deposited, { cents })

function storeOn(database: Database) {
  const events = new EventStore(database)
  return {
    events,
    append: (...[stream, list, options]: Parameters<typeof append>) => append(stream, list, options),
    types: async () => (await events.readAll(database)).map(({ stream, type }) => `${stream} ${type}`),
  }
  async function append(
    stream: string,
    list: Parameters<EventStore['append']>[2],
    options?: Parameters<EventStore['append']>[3],
  ) {
    return await database.transaction((transaction) => events.append(transaction, stream, list, options))
  }
}

describe.each(databases())('an event store on $name', ({ name, ready }) => {
  it('appends as many events as anybody has, in one statement', async () => {
    const database = await ready()
    const { events, append } = storeOn(database)
    const many = Array.from({ length: 15_000 }, () => deposited(1))
    assert.equal((await append('long', many)).version, 15_000)
    const [last] = await events.readStream(database, 'long', [Deposited], { from: 15_000 })
    assert.equal(last?.streamVersion, 15_000)
  })

  it('gives back the events of a stream in their order, typed by their definitions', async () => {
    const database = await ready()
    const { events, append } = storeOn(database)
    assert.equal((await append('a', [opened, deposited(5)], { expected: 0 })).version, 2)
    assert.equal((await append('a', [deposited(7)], { expected: 2, metadata: { by: 'me' } })).version, 3)
    await append('b', [opened])
    const history = await events.readStream(database, 'a', [Opened, Deposited])
    const sum = history.reduce(
      (total, event) => (event.type === 'account.deposited' ? total + event.data.cents : total),
      0,
    )
    assert.equal(sum, 12)
    assert.deepEqual(
      history.map(({ streamVersion }) => streamVersion),
      [1, 2, 3],
    )
    assert.deepEqual(history.at(-1)?.metadata, { by: 'me' })
    assert.equal((await events.readStream(database, 'a', [Opened, Deposited], { from: 3 })).length, 1)
    assert.deepEqual(await events.readStream(database, 'nobody', [Opened]), [])
  })

  it('refuses to append to a stream that is not at the expected version, and leaves it as it was', async () => {
    const database = await ready()
    const { events, append } = storeOn(database)
    await append('a', [opened], { expected: 0 })
    const late = append('a', [deposited(1)], { expected: 0 })
    await expect(late).rejects.toBeInstanceOf(StreamConflict)
    await expect(late).rejects.toMatchObject({ stream: 'a', expected: 0, actual: 1, retryable: true })
    await expect(append('b', [deposited(1)], { expected: 4 })).rejects.toMatchObject({ actual: 0 })
    assert.equal((await events.readAll(database)).length, 1)
  })

  it('lets one of many win that decide by the same version', async () => {
    const { append } = storeOn(await ready())
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, () => append('a', [opened], { expected: 0 })),
    )
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
  })

  it('appends nothing when the transaction rolls back', async () => {
    const database = await ready()
    const { events, append, types } = storeOn(database)
    const failed = database.transaction(async (transaction) => {
      await events.append(transaction, 'a', [opened])
      throw new Error('after all not')
    })
    await expect(failed).rejects.toThrow('after all not')
    assert.deepEqual(await types(), [])
    assert.equal((await append('a', [opened], { expected: 0 })).version, 1)
  })

  it('refuses data that does not fit, naming each problem, and no events at all', async () => {
    const { append, types } = storeOn(await ready())
    const wrong = append('a', [opened, deposited(-1)])
    await expect(wrong).rejects.toBeInstanceOf(InvalidMessageError)
    await expect(wrong).rejects.toMatchObject({ issues: [{ path: '1.data.cents' }] })
    await expect(append('a', [])).rejects.toThrow('at least one event')
    assert.deepEqual(await types(), [])
  })

  it('reads older versions through the upcasts of their definition', async () => {
    const database = await ready()
    const { events, append } = storeOn(database)
    await append('a', [eventOf(FirstDeposited, { euros: 3 })])
    const [event] = await events.readStream(database, 'a', [Deposited])
    assert.deepEqual([event?.version, event?.data], [2, { cents: 300 }])
  })

  it('tells of events that its definitions do not cover, or are older than', async () => {
    const database = await ready()
    const { events, append } = storeOn(database)
    await append('a', [opened, deposited(1)])
    await expect(events.readStream(database, 'a', [Opened])).rejects.toThrow(
      'account.deposited, which is not among the definitions',
    )
    await expect(events.readStream(database, 'a', [Opened, FirstDeposited])).rejects.toThrow(
      'is of version 2, but its definition only of 1',
    )
  })

  it('reads all events page by page, and refuses what is no position', async () => {
    const database = await ready()
    const { events, append } = storeOn(database)
    for (const stream of ['a', 'b', 'c']) await append(stream, [opened, deposited(1)])
    const first = await events.readAll(database, { limit: 4 })
    const after = first.at(-1)?.position ?? ''
    const rest = await events.readAll(database, { after })
    assert.deepEqual(
      [...first, ...rest].map(({ stream }) => stream),
      ['a', 'a', 'b', 'b', 'c', 'c'],
    )
    await expect(events.readAll(database, { after: 'yesterday' })).rejects.toThrow('expected a position')
  })

  it('publishes what it appends, with the ids of the events, unless it is told not to', async () => {
    const database = await ready()
    await using bus = await connect({ url: 'memory:', topics: [accounts], console: false })
    const outbox = database.outbox()
    const events = new EventStore(database, { outbox })
    await database.transaction(async (transaction) => {
      await events.append(transaction, 'a', [opened], { metadata: { by: 'me' } })
      await events.append(transaction, 'a', [deposited(1)], { publish: false })
      await events.append(transaction, 'a', [deposited(2)])
    })
    const received: [string, unknown, string | undefined][] = []
    await bus
      .consumer('audit')
      .on(accounts, '#', ({ id, data, metadata }) => received.push([id, data, metadata.by]))
      .start()
    await using relay = outbox.relay(bus)
    await relay.start()
    await vi.waitFor(() => assert.equal(received.length, 2), { timeout: 60_000 })
    const [first, , third] = await events.readAll(database)
    assert.deepEqual(
      new Map(received.map(([id, ...rest]) => [id, rest])),
      new Map([
        [first?.id, [{ owner: 'Ada' }, 'me']],
        [third?.id, [{ cents: 2 }, undefined]],
      ]),
    )
  })

  if (name !== 'PGlite') return

  // PGlite has one connection, so what others are doing is written by hand.
  const set = (database: Database, what: string) => database.query(`UPDATE ${what}`)

  it('reads nothing that a running transaction could still put something before', async () => {
    const database = await ready()
    const { append, types } = storeOn(database)
    await append('a', [opened])
    await append('b', [opened])
    assert.deepEqual(await types(), ['a account.opened', 'b account.opened'])
    const table = database.dialect.table('events')
    await database.transaction(async (transaction) => {
      // From here on this transaction is the oldest that is running, and b's is after it.
      await transaction.query(
        `UPDATE ${table} SET transaction_id = pg_snapshot_xmax(pg_current_snapshot()) WHERE stream = 'b'`,
      )
      const visible = await new EventStore(database).readAll(transaction)
      assert.deepEqual(
        visible.map(({ stream }) => stream),
        ['a'],
      )
    })
  })

  it('keeps the order of a stream when a transaction that began first appends last', async () => {
    const database = await ready()
    const { append, types } = storeOn(database)
    await append('a', [opened])
    await append('b', [opened])
    // As if a's first event were of a transaction that began after the next one.
    const ahead = `transaction_id = CAST('90000000' AS xid8) WHERE stream = 'a'`
    await set(database, `${database.dialect.table('event_streams')} SET ${ahead}`)
    await set(database, `${database.dialect.table('events')} SET ${ahead}`)
    await append('a', [deposited(1)])
    await new EventStore(database).beginEpoch()
    assert.deepEqual(await types(), ['b account.opened', 'a account.opened', 'a account.deposited'])
  })

  it('tells of events from a server that had come further, and reads them in a new epoch', async () => {
    const database = await ready()
    const { events, append, types } = storeOn(database)
    await append('a', [opened])
    const ahead = `transaction_id = CAST('90000000' AS xid8)`
    await set(database, `${database.dialect.table('events')} SET ${ahead}`)
    await set(database, `${database.dialect.table('event_streams')} SET ${ahead}`)
    await expect(types()).rejects.toMatchObject({ code: 'topology-mismatch' })
    await events.beginEpoch()
    await append('a', [deposited(1)])
    await append('b', [opened])
    assert.deepEqual(await types(), ['a account.opened', 'a account.deposited', 'b account.opened'])
  })
})
