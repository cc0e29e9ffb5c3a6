import assert from 'node:assert/strict'
import { type Driver, parseBrokerUrl, systemClock } from '@waybill/core/driver'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import type { Administration } from './administration.ts'

/** The adapter's own driver, without core around it. */
export async function openDriver(context: CaseContext, native: object = {}): Promise<Driver> {
  const { adapter, connection } = context.harness
  const driver = await adapter.connect(parseBrokerUrl(connection.url), {
    native,
    instance: context.unique('instance'),
    clock: systemClock,
    signal: AbortSignal.timeout(30_000),
    emit: () => undefined,
  })
  context.defer(() => driver.close())
  return driver
}

export function wishes(administration: Administration): readonly Case[] {
  return [
    {
      number: 142,
      title:
        "A group's wishes are kept by the broker: they outlive members and connections, and are only added to",
      needs: ['restart'],
      async run(context) {
        const topic = context.topic({ ordered: false })
        const group = { name: 'billing', types: ['#'], wishes: ['order.*'], from: 'latest' } as const
        const first = await openDriver(context)
        await first.apply({ topics: [{ topic, groups: [group] }] }, 'create')
        await first.close()
        const second = await openDriver(context)
        const types = ['order.paid', 'order.paid.twice', 'refund', 'order']
        assert.deepEqual(await second.wanted(topic, 'billing', types), [true, false, false, false])
        const third = await openDriver(context)
        const more = { ...group, wishes: ['refund', '#.twice'] }
        await third.apply({ topics: [{ topic, groups: [more] }] }, 'create')
        assert.deepEqual(await second.wanted(topic, 'billing', types), [true, true, true, false])
        // Of a group that nobody has heard of nothing is known to be unwanted.
        assert.deepEqual(await second.wanted(topic, 'shipping', ['refund']), [true])
        // Asking leaves nothing behind.
        const rows = await administration.list('list_queues', 'name', 'messages')
        assert.deepEqual(
          rows.filter(([name, messages]) => name?.startsWith(`${topic.name}:`) && messages !== '0'),
          [],
        )
      },
    },
    {
      number: 143,
      title: 'With provision: verify a wish that the broker does not know is missing, by name',
      async run(context) {
        const topic = context.topic({ ordered: false })
        const group = { name: 'billing', types: ['#'], wishes: ['order.*'], from: 'latest' } as const
        const driver = await openDriver(context)
        await driver.apply({ topics: [{ topic, groups: [group] }] }, 'create')
        const verify = (patterns: readonly string[]) =>
          driver.apply({ topics: [{ topic, groups: [{ ...group, wishes: patterns }] }] }, 'verify')
        assert.deepEqual((await verify(['order.*', 'order.paid'])).missing, [])
        const { missing } = await verify(['order.#', 'refund'])
        assert.equal(missing.length, 2)
        assert.match(missing.join(), /billing:wishes for order\.#.*billing:wishes for refund/)
      },
    },
  ]
}
