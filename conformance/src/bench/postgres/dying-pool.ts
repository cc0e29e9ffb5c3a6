import type { PostgresClient, PostgresPool } from '@waybill/postgres'
import pg from 'pg'

/**
 * Where a relay can be between two instructions: it has read a batch and sent nothing of it; the broker has all of it, and the
 * rows are still there; the rows are gone, which it does not know yet.
 */
export const moments = ['read', 'confirmed', 'removed'] as const
export type Moment = (typeof moments)[number]

/** A pool whose process kills itself when the relay is at a moment for the n-th time. */
export function dyingPool(connectionString: string, moment: Moment | undefined, n: number): PostgresPool {
  const pool = new pg.Pool({ connectionString })
  let count = 0
  const reached = (now: Moment) => {
    if (now !== moment) return
    count += 1
    if (count === n) process.kill(process.pid, 'SIGKILL')
  }
  const watched = (client: pg.PoolClient): PostgresClient => ({
    async query(sql, parameters) {
      const removes = /^DELETE FROM .*"outbox"/.test(sql)
      if (removes) reached('confirmed')
      const result = await client.query(sql, parameters)
      if (removes) reached('removed')
      else if (/FROM .*"outbox"/s.test(sql) && result.rows.length > 0 && 'data_bytes' in result.rows[0])
        reached('read')
      return result
    },
    release: (destroy) => client.release(destroy),
    on: (event, listener) => client.on(event, listener),
    removeListener: (event, listener) => client.removeListener(event, listener),
  })
  return { connect: async () => watched(await pool.connect()), end: () => pool.end() }
}
