import assert from 'node:assert/strict'
import { connect, defineMessage, defineTopic, type IdempotencyMark } from '@waybill/core'
import { postgres } from '@waybill/postgres'
import { z } from 'zod'
import type { Case } from '../../case/case.ts'
import { Latch } from '../../case/latch.ts'
import { openDatabase, type Servers } from './servers.ts'

const schema = z.object({ n: z.number() })
const ordered = defineMessage(defineTopic('orders', { ordered: true, groups: ['all'] }), 'order.placed', {
  schema,
  key: () => 'k',
})
const plain = defineMessage(defineTopic('plain', { groups: ['all'] }), 'plain.placed', { schema })

const contextOf = (id: string): { readonly idempotencyKey: IdempotencyMark } => ({
  idempotencyKey: { group: 'g', topic: 't', type: 'a.b', source: 's', id },
})

export function databaseCases(servers: Servers): readonly Case[] {
  return [
    {
      number: 203,
      title:
        'Messages of a key are stored in the order of commits; other keys and messages without one wait for nobody',
      async run(context) {
        const { database } = await openDatabase(context, servers)
        const outbox = database.outbox()
        const [first, begun] = [new Latch(), new Latch()]
        context.defer(() => first.open())
        const slow = database.transaction(async (transaction) => {
          await outbox.send(transaction, ordered, { n: 1 })
          begun.open()
          await first.passed()
        })
        await begun.passed()
        let isDone = false
        const later = database
          .transaction((transaction) => outbox.send(transaction, ordered, { n: 2 }))
          .then(() => {
            isDone = true
          })
        await database.transaction(async (transaction) => {
          await outbox.send(transaction, ordered, { n: 3 }, { key: 'another' })
          await outbox.send(transaction, plain, { n: 4 }, { key: 'k' })
          await outbox.send(transaction, plain, { n: 5 })
        })
        await context.quiet()
        assert.equal(isDone, false, 'the second of a key did not wait for the first')
        first.open()
        await Promise.all([slow, later])
        const rows = await database.query<{ data: string }>(
          `SELECT data FROM ${database.dialect.table('outbox')} WHERE key = 'k' AND topic = 'orders' ORDER BY position`,
        )
        assert.deepEqual(
          rows.map(({ data }) => data),
          ['{"n":1}', '{"n":2}'],
        )
      },
    },
    {
      number: 204,
      title: 'Batches that have keys in different orders never wait for each other in a circle',
      async run(context) {
        const { database } = await openDatabase(context, servers)
        const outbox = database.outbox()
        const keys = Array.from({ length: 20 }, (_, index) => `key-${index}`)
        const batch = (order: readonly string[]) =>
          database.transaction((transaction) =>
            outbox.sendAll(
              transaction,
              order.map((key, n) => ({ definition: ordered, data: { n }, options: { key } })),
            ),
          )
        const rounds = Array.from({ length: 40 }, (_, round) => (round % 2 === 0 ? keys : keys.toReversed()))
        await Promise.all(rounds.map(batch))
        assert.equal((await outbox.stats()).waiting, 800)
      },
    },
    {
      number: 205,
      title: 'What commits late is sent late, though its number is lower than what was sent before',
      async run(context) {
        const { database } = await openDatabase(context, servers)
        const outbox = database.outbox()
        const topic = defineTopic(context.unique('late'), { groups: ['all'] })
        const late = defineMessage(topic, 'late.placed', { schema })
        const bus = await connect({ url: 'memory:', console: false })
        context.defer(() => bus.close())
        const got: number[] = []
        await bus
          .consumer('all')
          .on(late, ({ data }) => void got.push(data.n))
          .start()
        const relay = outbox.relay(bus)
        context.defer(() => relay.stop())
        await relay.start()
        const [latch, begun] = [new Latch(), new Latch()]
        context.defer(() => latch.open())
        const slow = database.transaction(async (transaction) => {
          await outbox.send(transaction, late, { n: 1 })
          begun.open()
          await latch.passed()
        })
        await begun.passed()
        await database.transaction((transaction) => outbox.send(transaction, late, { n: 2 }))
        await context.eventually('the quick one is sent', () => got.includes(2))
        latch.open()
        await slow
        await context.eventually('the late one is sent', () => got.includes(1))
      },
    },
    {
      number: 206,
      title:
        'Of duplicates at the same moment, on connections of their own, one runs; if it fails, another does',
      async run(context) {
        const { database } = await openDatabase(context, servers)
        const inbox = database.inbox()
        const runs: number[] = []
        const outcomes = await Promise.allSettled(
          Array.from({ length: 8 }, (_, index) =>
            inbox.once(contextOf('m-1'), async (transaction) => {
              runs.push(index)
              await transaction.query('SELECT pg_sleep(0.05)')
              if (runs.length < 3) throw new Error('the first ones fail')
            }),
          ),
        )
        const of = (outcome: string) =>
          outcomes.filter((each) => each.status === 'fulfilled' && each.value.outcome === outcome).length
        assert.deepEqual([runs.length, of('ran'), of('duplicate')], [3, 1, 5])
      },
    },
    {
      number: 207,
      title: 'A relay is woken by other processes, also after the connection it listens on was lost',
      async run(context) {
        const { database, schema: name } = await openDatabase(context, servers)
        const topic = defineTopic(context.unique('woken'), { groups: ['all'] })
        const woken = defineMessage(topic, 'woken.placed', { schema })
        const bus = await connect({ url: 'memory:', console: false })
        context.defer(() => bus.close())
        let got = 0
        await bus
          .consumer('all')
          .on(woken, () => {
            got += 1
          })
          .start()
        const relaying = postgres({ url: servers.postgres.url, schema: name })
        context.defer(() => relaying.close())
        const relay = relaying
          .outbox()
          .relay(bus, { pollInterval: '1h' })
          .on('failure', () => {})
        context.defer(() => relay.stop())
        await relay.start()
        const listening = async () => {
          const rows = await database.query<{ pid: number }>(
            `SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND query LIKE '%' || $1 || '%' AND state = 'idle'`,
            [database.dialect.notify?.match(/waybill_\w+/)?.[0]],
          )
          return rows.map(({ pid }) => pid)
        }
        const send = () =>
          database.transaction((transaction) => database.outbox().send(transaction, woken, { n: 1 }))
        await context.eventually('it listens', async () => (await listening()).length === 1)
        await send()
        await context.eventually('it was woken', () => got === 1)
        const [pid] = await listening()
        await database.query('SELECT pg_terminate_backend($1)', [pid])
        await context.eventually('it listens again', async () => {
          const [now] = await listening()
          return now !== undefined && now !== pid
        })
        await send()
        await context.eventually('it was woken again', () => got === 2)
      },
    },
    {
      number: 208,
      title:
        'A database that is read-only, away or refuses the role is told in one sentence each, and nothing is half done',
      async run(context) {
        const { database, schema: name } = await openDatabase(context, servers)
        const { url } = servers.postgres
        const readOnly = postgres({
          url: `${url}?options=-c%20default_transaction_read_only%3Don`,
          schema: name,
        })
        const away = postgres({ url: 'postgres://postgres@127.0.0.1:1/postgres', schema: name })
        const missing = postgres({ url: url.replace(/\/postgres$/, '/nowhere'), schema: name })
        const stranger = postgres({ url: url.replace('postgres@', 'stranger@'), schema: name })
        const cases = [
          [readOnly, 'rejected', /read-only/],
          [away, 'disconnected', /does not answer/],
          [missing, 'topology-missing', /no such database/],
          [stranger, 'access-denied', /credentials/],
        ] as const
        for (const [each, code, message] of cases) {
          context.defer(() => each.close())
          let ran = 0
          const work = async () => {
            ran += 1
          }
          await assert.rejects(each.inbox().once(contextOf('m-1'), work), { code, message })
          const sending = each.transaction((transaction) => each.outbox().send(transaction, plain, { n: 1 }))
          await assert.rejects(sending, { code, message })
          await assert.rejects(each.idempotencyStore().begin(contextOf('m-1').idempotencyKey, 1000), { code })
          assert.equal(ran, 0)
        }
        assert.equal((await database.outbox().stats()).waiting, 0)
      },
    },
    {
      number: 209,
      title:
        'Roles with the rights that are documented, and no more, can do their part; without them they are told so',
      async run(context) {
        const { database, schema: name } = await openDatabase(context, servers)
        const { url } = servers.postgres
        const { table } = database.dialect
        const as = async (role: string, grants: readonly string[]) => {
          const user = context
            .unique(role)
            .toLowerCase()
            .replaceAll(/[^a-z0-9]/g, '_')
          await database.query(`CREATE ROLE ${user} LOGIN`)
          context.defer(async () => {
            await database.query(`DROP OWNED BY ${user}`)
            await database.query(`DROP ROLE ${user}`)
          })
          const all = [`USAGE ON SCHEMA ${name}`, `SELECT ON ${table('migrations')}`, ...grants]
          for (const grant of all) await database.query(`GRANT ${grant} TO ${user}`)
          const mine = postgres({ url: url.replace('postgres@', `${user}@`), schema: name })
          context.defer(() => mine.close())
          return mine
        }
        const nobody = await as('nobody', [])
        const denied = { code: 'access-denied', message: /lacks a right/ }
        await assert.rejects(
          nobody.inbox().once(contextOf('m-1'), async () => 1),
          denied,
        )
        await assert.rejects(
          nobody.transaction((transaction) => nobody.outbox().send(transaction, plain, { n: 1 })),
          denied,
        )
        const consumer = await as('consumer', [`SELECT, INSERT, UPDATE, DELETE ON ${table('marks')}`])
        assert.deepEqual(await consumer.migrate(), [])
        await consumer.inbox({ keepResults: true }).once(contextOf('m-1'), async () => 1)
        const store = consumer.idempotencyStore()
        assert.equal((await store.begin(contextOf('m-1').idempotencyKey, 1000)).state, 'done')
        assert.equal(await store.clean(), 0)
        const sender = await as('sender', [`INSERT ON ${table('outbox')}`])
        await sender.transaction(async (transaction) => {
          await sender.outbox().send(transaction, ordered, { n: 1 })
          await sender.outbox().sendAll(transaction, [{ definition: plain, data: { n: 2 } }])
        })
        const relaying = await as('relay', [
          `SELECT, UPDATE, DELETE ON ${table('outbox')}`,
          `SELECT, UPDATE ON ${table('slots')}`,
          `SELECT, INSERT, UPDATE, DELETE ON ${table('relays')}`,
        ])
        const bus = await connect({ url: 'memory:', console: false })
        context.defer(() => bus.close())
        const relay = relaying.outbox().relay(bus)
        context.defer(() => relay.stop())
        await relay.start()
        await context.eventually('both are sent', async () => (await relay.stats()).relayed === 2)
        await relay.stop()
        assert.deepEqual(await relaying.outbox().parked(), [])
      },
    },
    {
      number: 210,
      title: 'A relay goes on by itself when the database was restarted',
      alone: true,
      timeoutMs: 180_000,
      async run(context) {
        const { database } = await openDatabase(context, servers)
        if (!servers.postgres.canRestart) context.skip('this database is not ours to restart')
        const topic = defineTopic(context.unique('restarted'), { groups: ['all'] })
        const placed = defineMessage(topic, 'restarted.placed', { schema })
        const bus = await connect({ url: 'memory:', console: false })
        context.defer(() => bus.close())
        let got = 0
        await bus
          .consumer('all')
          .on(placed, () => {
            got += 1
          })
          .start()
        const relay = database
          .outbox()
          .relay(bus, { lease: '1s' })
          .on('failure', () => {})
        context.defer(() => relay.stop())
        await relay.start()
        const send = () =>
          database.transaction((transaction) => database.outbox().send(transaction, placed, { n: 1 }))
        await send()
        await context.eventually('it sends', () => got === 1)
        await servers.postgres.kill()
        await assert.rejects(send(), { code: 'disconnected', retryable: true })
        await context.eventually('it is told', () => relay.health().status === 'degraded', 30_000)
        await servers.postgres.start()
        await send()
        await context.eventually('it sends again', () => got === 2, 60_000)
        await context.eventually('it is well', () => relay.health().status === 'up', 60_000)
      },
    },
  ]
}
