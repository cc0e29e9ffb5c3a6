import assert from 'node:assert/strict'
import type { Kafka } from 'kafkajs'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import type { Stage } from '../../case/stage.ts'
import { administer } from './administration.ts'

/** Has the group stand at this offset of the topic's only partition. */
async function moveTo(client: Kafka, { topic, group }: Stage, offset: string): Promise<void> {
  await administer(client, (admin) =>
    admin.setOffsets({
      groupId: `${topic.name}:${group}`,
      topic: topic.name,
      partitions: [{ partition: 0, offset }],
    }),
  )
}

function warningsOf(stage: Stage): string[] {
  const warnings: string[] = []
  stage.bus.on('warning', ({ message }) => warnings.push(message))
  return warnings
}

async function onePartition(context: CaseContext): Promise<Stage> {
  return context.stage({ topic: { partitions: 1, groups: [context.unique('group')] } })
}

/** Positions that the broker has nothing for, or no longer. */
export function movedOffsetCases(client: Kafka): readonly Case[] {
  return [
    {
      number: 213,
      title: 'A topic that is deleted and made again under a running consumer is read from its beginning',
      timeoutMs: 90_000,
      async run(context) {
        const stage = await onePartition(context)
        const warnings = warningsOf(stage)
        const recorder = context.recorder()
        await stage.consume(recorder)
        const before = await stage.sendBatch(20, {}, {})
        await context.exactly(recorder, before)
        const { name } = stage.topic
        await administer(client, async (admin) => {
          await admin.deleteTopics({ topics: [name] })
          await context.eventually('it is gone and made again', async () =>
            admin.createTopics({ topics: [{ topic: name, numPartitions: 1 }] }),
          )
        })
        // At once as many as there were, so that the old position is one of the new topic's too.
        const after = await stage.sendBatch(40, {}, {})
        await context.exactly(recorder, [...before, ...after])
        await context.eventually('it is told', () => warnings.some((text) => text.includes(name)))
      },
    },
    {
      number: 214,
      title: 'What is committed beyond the end of the log means its beginning, with a warning and in health',
      async run(context) {
        const stage = await onePartition(context)
        const sent = await stage.sendBatch(10, {}, {})
        await moveTo(client, stage, '60')
        const warnings = warningsOf(stage)
        const recorder = context.recorder()
        await stage.consume(recorder)
        await context.exactly(recorder, [...sent, await stage.sendOne()])
        assert.ok(
          warnings.some((text) => text.includes('60') && text.includes('10')),
          warnings.join('\n'),
        )
        const { driver } = await stage.bus.health()
        assert.match(JSON.stringify(driver.details), /the log ends at 10/)
        const { partitions } = await stage.bus.group(stage.topic, stage.group).stats()
        assert.equal(partitions?.[0]?.committed, partitions?.[0]?.end, 'no position of our own was committed')
      },
    },
    {
      number: 215,
      title: 'A negative commit of a group that is known means the earliest message, never the latest',
      async run(context) {
        const stage = await onePartition(context)
        const sent = await stage.sendBatch(5, {}, {})
        // As kafkajs commits by itself after OFFSET_OUT_OF_RANGE.
        await moveTo(client, stage, '-2')
        const again = await context.bus({ topics: [stage.topic] })
        const recorder = context.recorder()
        await stage.consume(recorder, { bus: again })
        await context.exactly(recorder, [...sent, await stage.sendOne()])
      },
    },
    {
      number: 216,
      title: 'A seek beyond the end starts anew at what the broker has',
      async run(context) {
        const stage = await onePartition(context)
        const sent = await stage.sendBatch(5, {}, {})
        const position = stage.bus.group(stage.topic, stage.group)
        await position.seek({ to: 'offset', offset: '1000', partition: 0 })
        const warnings = warningsOf(stage)
        const recorder = context.recorder()
        await stage.consume(recorder)
        await context.exactly(recorder, [...sent, await stage.sendOne()])
        assert.ok(warnings.some((text) => text.includes('1000')))
      },
    },
    {
      number: 217,
      title: 'What the broker removes under a running consumer is told, and it goes on with what is left',
      async run(context) {
        const stage = await onePartition(context)
        const warnings = warningsOf(stage)
        const recorder = context.recorder()
        await stage.consume(recorder)
        const first = await stage.sendBatch(5, {}, {})
        await context.exactly(recorder, first)
        const { name } = stage.topic
        await stage.bus.close()
        const rest = await context.bus({ topics: [stage.topic] })
        const producer = rest.producer({ timeout: context.sendTimeoutMs })
        const numbers = Array.from({ length: 10 }, (_, n) => ({ n }))
        const sent = await producer.sendBatch(stage.message, numbers)
        await administer(client, async (admin) => {
          await admin.fetchTopicOffsets(name)
          await admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset: '12' }] })
        })
        rest.on('warning', ({ message }) => warnings.push(message))
        await stage.consume(recorder, { bus: rest })
        await context.exactly(recorder, [...first, ...sent.slice(7)])
        assert.ok(
          warnings.some((text) => text.includes('from 5 to 11')),
          warnings.join('\n'),
        )
      },
    },
  ]
}
