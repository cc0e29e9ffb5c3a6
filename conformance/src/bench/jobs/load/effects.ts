import type { JobContext } from '@waybill/jobs'
import { Redis } from 'ioredis'
import { effectsOf, type OpenedStore, type StorePlace } from '../servers.ts'

/** What jobs have done, where a job that does it twice can be seen. */
export interface Effects extends AsyncDisposable {
  /** Made before the first worker. */
  prepare(): Promise<void>
  write(n: number, completeIn: JobContext['completeIn']): Promise<void>
  /** How many there are, and of how many jobs. */
  count(): Promise<{ readonly effects: number; readonly jobs: number }>
}

// The mark and the effect are one: of two runs of a job the second finds the mark.
const writeOnce = `if redis.call('SADD', KEYS[1], ARGV[1]) == 1 then redis.call('INCR', KEYS[2]) end`

/** In a database each is written in the transaction that completes its job; in Redis under a mark of its job. */
export function effectsIn({ url, name }: StorePlace, { database }: OpenedStore): Effects {
  if (database !== undefined) {
    const table = effectsOf(database)
    return {
      async prepare() {
        await database.query(`CREATE TABLE ${table} (job integer)`)
      },
      async write(n, completeIn) {
        await database.transaction(async (transaction) => {
          await transaction.query(`INSERT INTO ${table} (job) VALUES ($1)`, [n])
          await completeIn(transaction, undefined)
        })
      },
      async count() {
        const sql = `SELECT count(*) AS effects, count(DISTINCT job) AS jobs FROM ${table}`
        const [row] = await database.query<{ effects: string; jobs: string }>(sql)
        return { effects: Number(row?.effects), jobs: Number(row?.jobs) }
      },
      async [Symbol.asyncDispose]() {},
    }
  }
  const client = new Redis(url)
  const [marks, effects] = [`{effects:${name}}:marks`, `{effects:${name}}:count`]
  return {
    async prepare() {},
    async write(n) {
      await client.eval(writeOnce, 2, marks, effects, n)
    },
    async count() {
      return { effects: Number(await client.get(effects)), jobs: await client.scard(marks) }
    },
    async [Symbol.asyncDispose]() {
      client.disconnect()
    },
  }
}
