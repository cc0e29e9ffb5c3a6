import assert from 'node:assert/strict'
import { connect, defineMessage, defineTopic } from '@waybill/core'
import { z } from 'zod'
import type { Case } from '../../case/case.ts'
import { openDatabase, type Servers } from './servers.ts'

const placed = defineMessage(defineTopic('orders', { ordered: true, groups: ['all'] }), 'order.placed', {
  schema: z.object({ n: z.number() }),
  key: () => 'k',
})
const mark = {
  idempotencyKey: { group: 'g', topic: 'orders', type: 'order.placed', source: 's', id: 'm-1' },
}

export function standby(servers: Servers): Case {
  const server = servers.postgres
  return {
    number: 232,
    title:
      'A standby is told in one sentence, and nothing is half done; once promoted it is used as if nothing had been',
    timeoutMs: 180_000,
    alone: true,
    async run(context) {
      if (!server.canRestart) context.skip('this database is not ours to restart')
      const { database } = await openDatabase(context, servers)
      await database.query(`CREATE TABLE ${database.dialect.table('effects')} (n integer)`)
      const [inbox, outbox, store] = [database.inbox(), database.outbox(), database.idempotencyStore()]
      const bus = await connect({ url: 'memory:', console: false })
      context.defer(() => bus.close())
      const run = async (...command: readonly string[]) => {
        const { exitCode, output } = await server.exec(command)
        assert.equal(exitCode, 0, output)
      }
      const promote = async () => {
        const [row] = await database.query<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby')
        if (row?.standby) await database.query('SELECT pg_promote()')
      }
      // PostgreSQL documentation, "Standby Server Operation": the file makes the server a standby when it starts.
      await run('sh', '-c', 'touch "$PGDATA/standby.signal" && chown postgres "$PGDATA/standby.signal"')
      await server.restart()
      context.defer(promote)
      const [row] = await database.query<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby')
      assert.equal(row?.standby, true, 'the server is no standby')

      const effect = (n: number) =>
        inbox.once(mark, async (transaction) => {
          await transaction.query(`INSERT INTO ${database.dialect.table('effects')} VALUES ($1)`, [n])
          await outbox.send(transaction, placed, { n })
        })
      const relay = outbox.relay(bus)
      context.defer(() => relay.stop())
      const refused = { code: 'rejected', retryable: true, message: /read-only, a standby perhaps/ }
      await assert.rejects(effect(1), refused)
      await assert.rejects(
        database.transaction((transaction) => outbox.send(transaction, placed, { n: 1 })),
        refused,
      )
      await assert.rejects(store.begin(mark.idempotencyKey, 1000), refused)
      await assert.rejects(relay.start(), refused)
      // What only reads goes on.
      assert.deepEqual(await database.migrate(), [])
      assert.equal((await outbox.stats()).waiting, 0)

      await promote()
      await effect(2)
      const rows = await database.query<{ n: number }>(`SELECT n FROM ${database.dialect.table('effects')}`)
      assert.deepEqual(rows, [{ n: 2 }])
      await relay.start()
      await context.eventually('it is sent', async () => (await relay.stats()).relayed === 1)
    },
  }
}
