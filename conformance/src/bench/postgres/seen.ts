import { defineMessage, defineTopic } from '@waybill/core'
import { type Database, defineProjection, eventOf, when } from '@waybill/database'
import { z } from 'zod'

const Happened = defineMessage(defineTopic('events'), 'event.happened', {
  schema: z.object({ n: z.int() }),
})

export const happened = (n: number) => eventOf(Happened, { n })

/** A projection that knows how far each stream has come, and fails for an event that is not the next of its stream. */
export function seenIn(schema: string) {
  const table = `"${schema}".seen`
  return {
    create: (database: Database) =>
      database.query(`CREATE TABLE ${table} (stream text PRIMARY KEY, version integer NOT NULL)`),
    /** How many events were applied. */
    async count(database: Database): Promise<number> {
      const [row] = await database.query<{ count: number }>(
        `SELECT coalesce(sum(version), 0)::integer AS count FROM ${table}`,
      )
      return row?.count ?? 0
    },
    definition: defineProjection('seen', {
      handlers: [
        when(Happened, async ({ stream, streamVersion }, transaction) => {
          const rows = await transaction.query(
            `INSERT INTO ${table} AS known (stream, version) SELECT $1::text, $2::integer WHERE $2::integer = 1 OR EXISTS
(SELECT FROM ${table} WHERE stream = $1::text) ON CONFLICT (stream)
DO UPDATE SET version = excluded.version WHERE known.version = excluded.version - 1 RETURNING version`,
            [stream, streamVersion],
          )
          if (rows.length === 0) throw new Error(`${stream} ${streamVersion} is out of order`)
        }),
      ],
      reset: (transaction) => transaction.query(`DELETE FROM ${table}`),
    }),
  }
}
