import assert from 'node:assert/strict'
import { type Driver, parseBrokerUrl, systemClock } from '@waybill/core/driver'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import type { Administration } from './administration.ts'

/** The adapter's own driver, without core around it. */
export async function openDriver(
  context: CaseContext,
  {
    url = context.harness.connection.url,
    native = {},
  }: { readonly url?: string; readonly native?: object } = {},
): Promise<Driver> {
  const driver = await context.harness.adapter.connect(parseBrokerUrl(url), {
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
      title: 'With provision: verify wishes are added where there is a place for them, or missing by name',
      needs: ['restart'],
      async run(context) {
        const topic = context.topic({ ordered: false })
        const group = { name: 'billing', types: ['#'], wishes: ['order.*'], from: 'latest' } as const
        const driver = await openDriver(context)
        const verify = (by: Driver, patterns: readonly string[]) =>
          by.apply({ topics: [{ topic, groups: [{ ...group, wishes: patterns }] }] }, 'verify')
        await driver.apply({ topics: [{ topic, groups: [group] }] }, 'create')

        const user = context.unique('user')
        await administration.control('add_user', user, 'secret')
        await administration.control('set_permissions', user, '^$', '^.*:kept$|:wishes$', '.*')
        const url = new URL(context.harness.connection.url)
        url.username = user
        url.password = 'secret'
        const reader = await openDriver(context, { url: url.href })
        assert.deepEqual((await verify(reader, ['order.*', 'order.paid'])).missing, [])
        const { missing } = await verify(reader, ['order.#', 'refund'])
        assert.match(missing.join(), /billing:wishes for order\.#.*billing:wishes for refund/)

        assert.deepEqual((await verify(driver, ['refund'])).missing, [])
        assert.deepEqual(await reader.wanted(topic, group.name, ['refund', 'other']), [true, false])
      },
    },
  ]
}
