import assert from 'node:assert/strict'
import { defineMessage, defineTopic } from '@waybill/core'
import { fromDrizzle, fromKnex, fromKysely, fromPg, type Transaction } from '@waybill/postgres'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import knexOf from 'knex'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { z } from 'zod'
import type { Case } from '../../case/case.ts'
import { openDatabase, type Servers } from './servers.ts'

type Work = (transaction: Transaction) => Promise<void>

interface Library {
  readonly name: string
  /** In a transaction of the library: inserts the order, then does the work. */
  run(orderId: string, work: Work): Promise<void>
  end(): Promise<void>
}

const placed = defineMessage(defineTopic('orders', { ordered: true, groups: ['all'] }), 'order.placed', {
  schema: z.object({ id: z.string() }),
  key: ({ id }) => id,
})

function librariesOn(url: string, schema: string): readonly Library[] {
  // The tables of the application are found by the search path.
  const own = new URL(url)
  own.searchParams.set('options', `-c search_path=${schema}`)
  const connectionString = own.href
  const pool = new pg.Pool({ connectionString })
  const kysely = new Kysely<{ orders: { id: string } }>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString }) }),
  })
  const drizzlePool = new pg.Pool({ connectionString })
  const knex = knexOf({ client: 'pg', connection: connectionString })
  return [
    {
      name: 'pg',
      async run(orderId, work) {
        const client = await pool.connect()
        try {
          await client.query('BEGIN')
          await client.query('INSERT INTO orders VALUES ($1)', [orderId])
          await work(fromPg(client))
          await client.query('COMMIT')
        } catch (error) {
          await client.query('ROLLBACK')
          throw error
        } finally {
          client.release()
        }
      },
      end: () => pool.end(),
    },
    {
      name: 'Kysely',
      run: (id, work) =>
        kysely.transaction().execute(async (trx) => {
          await trx.insertInto('orders').values({ id }).execute()
          await work(fromKysely(trx))
        }),
      end: () => kysely.destroy(),
    },
    {
      name: 'Drizzle',
      run: (id, work) =>
        drizzle({ client: drizzlePool }).transaction(async (tx) => {
          await tx.execute(sql`INSERT INTO orders VALUES (${id})`)
          await work(fromDrizzle(tx, sql))
        }),
      end: () => drizzlePool.end(),
    },
    {
      name: 'Knex',
      run: (id, work) =>
        knex.transaction(async (trx) => {
          await trx('orders').insert({ id })
          await work(fromKnex(trx))
        }),
      end: () => knex.destroy(),
    },
  ]
}

export function libraryCases(servers: Servers): readonly Case[] {
  return [
    {
      number: 231,
      title:
        'In transactions of pg, Kysely, Drizzle and Knex a mark and messages are committed with the change, or not at all',
      async run(context) {
        const { database, schema } = await openDatabase(context, servers)
        await database.query(`CREATE TABLE ${database.dialect.table('orders')} (id text PRIMARY KEY)`)
        const [inbox, outbox] = [database.inbox(), database.outbox()]
        const count = async () => {
          const { table } = database.dialect
          const [row] = await database.query<{ orders: string; messages: string; marks: string }>(
            `SELECT (SELECT count(*) FROM ${table('orders')}) AS orders, (SELECT count(*) FROM ${table('outbox')}) AS messages, (SELECT count(*) FROM ${table('marks')}) AS marks`,
          )
          return [row?.orders, row?.messages, row?.marks].map(Number)
        }
        for (const [index, { name, run, end }] of librariesOn(servers.postgres.url, schema).entries()) {
          context.defer(end)
          // Quotes and marks that a library could take for placeholders.
          const id = `${name}'s ? $1`
          const mark = {
            idempotencyKey: { group: 'g', topic: 'orders', type: 'order.placed', source: 's', id },
          }
          const write: Work = async (transaction) => {
            assert.equal(await inbox.mark(transaction, mark), true)
            await outbox.send(transaction, placed, { id }, { delay: '1m' })
            const data = ['a', 'b'].map((each) => ({ id: each }))
            await outbox.sendAll(
              transaction,
              data.map((each) => ({ definition: placed, data: each })),
            )
          }
          const before = [index, 3 * index, index]
          const failing = run(id, async (transaction) => {
            await write(transaction)
            throw new RangeError('no funds')
          })
          await assert.rejects(failing, RangeError)
          assert.deepEqual(await count(), before, `${name} left something of a change that failed`)
          await run(id, write)
          assert.deepEqual(await count(), [index + 1, 3 * index + 3, index + 1], name)
          await run(`${id} again`, async (transaction) => {
            assert.equal(await inbox.mark(transaction, mark), false, `${name} does not see the mark`)
            await transaction.query('DELETE FROM orders WHERE id = $1', [`${id} again`])
          })
        }
      },
    },
  ]
}
