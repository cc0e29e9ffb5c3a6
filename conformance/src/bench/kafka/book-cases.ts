import assert from 'node:assert/strict'
import { adapter } from '@waybill/adapter-kafka'
import { type Driver, parseBrokerUrl, systemClock, type TopicSpec } from '@waybill/core/driver'
import type { Kafka } from 'kafkajs'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { administer } from './administration.ts'

async function driverOf(context: CaseContext): Promise<Driver> {
  const { url, native } = context.harness.connection
  const driver = await adapter.connect(parseBrokerUrl(url), {
    native: native?.kafka,
    instance: context.unique('driver'),
    clock: systemClock,
    signal: new AbortController().signal,
    emit: () => {},
  })
  context.defer(() => driver.close())
  return driver
}

const groupOf = (name: string, wishes: readonly string[]) => ({
  name,
  wishes,
  types: ['#'],
  from: 'latest' as const,
})

/** What is kept of a topic beside it: its groups, and what they asked for. */
export function bookCases(client: Kafka): readonly Case[] {
  const topics = () => administer(client, (admin) => admin.listTopics())
  return [
    {
      number: 223,
      title: 'What a group ever asked for is known to every process, and stays so when its members are gone',
      async run(context) {
        const topic: TopicSpec = {
          name: context.unique('topic'),
          ordered: false,
          partitions: 1,
          native: {},
        }
        const first = await driverOf(context)
        await first.apply(
          { topics: [{ topic, groups: [groupOf('asked', ['a.*']), groupOf('named', [])] }] },
          'create',
        )
        const second = await driverOf(context)
        assert.deepEqual(await second.wanted(topic, 'asked', ['a.b', 'a.b.c', 'z']), [true, false, false])
        assert.deepEqual(await second.wanted(topic, 'named', ['a.b']), [false])
        assert.deepEqual(await second.wanted(topic, 'never heard of', ['a.b']), [true])
        await second.apply({ topics: [{ topic, groups: [groupOf('asked', ['z'])] }] }, 'create')
        await second.close()
        assert.deepEqual(await first.wanted(topic, 'asked', ['a.b', 'z', 'y']), [true, true, false])
        assert.deepEqual(await (await driverOf(context)).wanted(topic, 'asked', ['a.b', 'z', 'y']), [
          true,
          true,
          false,
        ])
      },
    },
    {
      number: 224,
      title: 'Topics and groups are listed and, on request, deleted with all that belongs to them',
      async run(context) {
        const topic: TopicSpec = { name: context.unique('topic'), ordered: true, partitions: 3, native: {} }
        const driver = await driverOf(context)
        const groups = [groupOf('one', []), groupOf('two', ['a'])]
        await driver.apply({ topics: [{ topic, groups }] }, 'create')
        const { administration } = await driverOf(context)
        const listed = async () =>
          (await administration.listTopics?.())?.filter(({ name }) => name === topic.name)
        assert.deepEqual(await listed(), [topic])
        assert.deepEqual([...((await administration.listGroups?.(topic)) ?? [])].sort(), ['one', 'two'])
        await administration.deleteGroup?.(topic, 'one')
        await administration.deleteGroup?.(topic, 'one')
        assert.deepEqual(await administration.listGroups?.(topic), ['two'])
        await context.eventually('its topics are gone', async () =>
          (await topics()).every((name) => !name.startsWith(`${topic.name}..one..`)),
        )
        await administration.deleteTopic?.(topic)
        await administration.deleteTopic?.(topic)
        await context.eventually('all topics are gone', async () =>
          (await topics()).every((name) => !name.startsWith(topic.name)),
        )
        assert.deepEqual(await listed(), [])
      },
    },
  ]
}
