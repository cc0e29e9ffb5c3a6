import { PGlite } from '@electric-sql/pglite'
import { defineMessage, defineTopic } from '@waybill/core'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/pglite'
import knexOf from 'knex'
import { CamelCasePlugin, Kysely, PGliteDialect } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type Database, postgres, type Transaction } from '../index.ts'
import { fromDrizzle } from './from-drizzle.ts'
import { fromKnex } from './from-knex.ts'
import { fromKysely } from './from-kysely.ts'
import { fromPg } from './from-pg.ts'
import { fromPrisma } from './from-prisma.ts'

const topic = defineTopic('orders', { ordered: true })
const OrderPlaced = defineMessage(topic, 'order.placed', {
  schema: z.object({ id: z.string() }),
  key: ({ id }) => id,
})

let pglite: PGlite
let database: Database
beforeAll(async () => {
  pglite = await PGlite.create()
  database = postgres({ pglite })
  await database.migrate()
  await pglite.query('CREATE TABLE orders (id text)')
}, 60_000)
afterAll(() => pglite.close())
beforeEach(() => pglite.exec('TRUNCATE orders, waybill.outbox, waybill.marks'))

type Work = (transaction: Transaction) => Promise<void>

/** Knex has no PGlite: its own client of `pg`, whose connection is one. */
function knexOnPglite() {
  const knex = knexOf({ client: 'pg' })
  Object.assign(knex.client, {
    acquireConnection: async () => ({
      __knexUid: 'pglite',
      query(
        query: { text: string; values?: unknown[] } | string,
        done?: (error: unknown, rows?: unknown) => void,
      ) {
        const { text, values = [] } = typeof query === 'string' ? { text: query } : query
        const result = pglite.query(text, values)
        if (done === undefined) return result
        result.then((rows) => done(null, rows), done)
        return undefined
      },
    }),
    releaseConnection: async () => {},
  })
  return knex
}

const kysely = () =>
  new Kysely<{ orders: { id: string } }>({
    dialect: new PGliteDialect({ pglite }),
    plugins: [new CamelCasePlugin()],
  })

const libraries: readonly { readonly name: string; run(work: Work): Promise<void> }[] = [
  {
    name: 'Kysely',
    run: (work) =>
      kysely()
        .transaction()
        .execute(async (trx) => {
          await trx.insertInto('orders').values({ id: 'o-1' }).execute()
          await work(fromKysely(trx))
        }),
  },
  {
    name: 'Drizzle',
    run: (work) =>
      drizzle(pglite).transaction(async (tx) => {
        await tx.execute(sql`INSERT INTO orders VALUES ('o-1')`)
        await work(fromDrizzle(tx, sql))
      }),
  },
  {
    name: 'Knex',
    run: (work) =>
      knexOnPglite().transaction(async (trx) => {
        await trx('orders').insert({ id: 'o-1' })
        await work(fromKnex(trx))
      }),
  },
  {
    name: 'pg',
    run: (work) =>
      pglite.transaction(async (transaction) => {
        await transaction.query(`INSERT INTO orders VALUES ('o-1')`)
        await work(fromPg(transaction))
      }),
  },
  {
    // Its method, not its engine.
    name: 'a transaction with the method of Prisma',
    run: (work) =>
      pglite.transaction(async (transaction) => {
        await transaction.query(`INSERT INTO orders VALUES ('o-1')`)
        const $queryRawUnsafe = async (text: string, ...parameters: unknown[]) =>
          (await transaction.query(text, parameters)).rows
        await work(fromPrisma({ $queryRawUnsafe }))
      }),
  },
]

const counts = async () => {
  const { rows } = await pglite.query(
    'SELECT (SELECT count(*)::int FROM orders) AS orders, (SELECT count(*)::int FROM waybill.outbox) AS outbox, (SELECT count(*)::int FROM waybill.marks) AS marks',
  )
  return rows[0]
}

const context = {
  idempotencyKey: { group: 'g', topic: 'orders', type: 'order.placed', source: "what's ? $1", id: 'm-1' },
}

describe.each(libraries)('within a transaction of $name', ({ run }) => {
  const write: Work = async (transaction) => {
    expect(await database.inbox().mark(transaction, context)).toBe(true)
    const outbox = database.outbox()
    await outbox.send(transaction, OrderPlaced, { id: "o'1 ? $2" })
    await outbox.sendAll(
      transaction,
      ['a', 'b', 'c'].map((id) => ({ definition: OrderPlaced, data: { id } })),
    )
  }

  test('a mark and messages are committed with the change', async () => {
    await run(write)
    expect(await counts()).toEqual({ orders: 1, outbox: 4, marks: 1 })
    const { rows } = await pglite.query<{ key: string }>('SELECT key FROM waybill.outbox ORDER BY position')
    expect(rows.map(({ key }) => key)).toEqual(["o'1 ? $2", 'a', 'b', 'c'])
    await run(async (transaction) => {
      expect(await database.inbox().mark(transaction, context)).toBe(false)
    })
  })

  test('nothing of them is left when the change is not', async () => {
    const failing = run(async (transaction) => {
      await write(transaction)
      throw new RangeError('no funds')
    })
    await expect(failing).rejects.toThrow(RangeError)
    expect(await counts()).toEqual({ orders: 0, outbox: 0, marks: 0 })
  })
})
