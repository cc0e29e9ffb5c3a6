import assert from 'node:assert/strict'
import { GetQueueUrlCommand, type SQSClient } from '@aws-sdk/client-sqs'
import type { Case } from '../../case/case.ts'
import { openDriver } from './open-driver.ts'

export function administration(sqs: SQSClient): readonly Case[] {
  const exists = (QueueName: string) =>
    sqs.send(new GetQueueUrlCommand({ QueueName })).then(
      () => true,
      () => false,
    )

  return [
    {
      number: 471,
      title: 'Topics and groups that exist are listed, and go on request with all they have',
      needs: ['severalGroups'],
      async run(context) {
        const group = context.unique('group')
        const other = context.unique('other')
        const stage = await context.stage({ topic: { groups: [group, other] } })
        await stage.send(3)
        const { administration } = await openDriver(context)
        const { topic } = stage
        const listed = (await administration.listTopics?.()) ?? []
        assert.deepEqual(listed.find(({ name }) => name === topic.name)?.ordered, false)
        assert.deepEqual(
          [...((await administration.listGroups?.(topic)) ?? [])].sort(),
          [group, other].sort(),
        )
        await administration.deleteGroup?.(topic, other)
        assert.deepEqual(await administration.listGroups?.(topic), [group])
        const recorder = context.recorder()
        const consumer = await stage.consume(recorder, { group })
        await context.eventually('the other group is as before', () => recorder.deliveries.length === 3)
        // A consumer that runs makes anew what it misses.
        await consumer.stop()
        await administration.deleteTopic?.(topic)
        await administration.deleteTopic?.(topic)
        for (const each of [group, other]) {
          for (const end of ['', '_dead']) assert.equal(await exists(`${topic.name}_${each}${end}`), false)
        }
        assert.equal(
          (await administration.listTopics?.())?.some(({ name }) => name === topic.name),
          false,
        )
      },
    },
    {
      number: 472,
      title: 'A list of dead letters that is longer than SQS hides at a time says so, and can be emptied',
      async run(context) {
        const inFlight = 40
        const stage = await context.stage({ connect: { native: { sqs: { limits: { inFlight } } } } })
        const recorder = context.recorder()
        await stage.consume(recorder, { retry: { attempts: 1 } }, () => {
          throw new Error('no')
        })
        const sent = await stage.send(60)
        const { deadLetters } = stage.bus.group(stage.topic, stage.group)
        await context.eventually('all are dead letters', async () => (await deadLetters.count()) === 60)
        await assert.rejects(stage.deadLetters(), /the most that SQS hides at a time/)
        await context.eventually('they are given back', async () => {
          const { dead } = await stage.bus.group(stage.topic, stage.group).stats()
          return dead === 60
        })
        let discarded = 0
        await context.eventually('all are discarded', async () => {
          const result = await deadLetters.discardAll()
          discarded += typeof result === 'number' ? result : 0
          return discarded === sent.length
        })
      },
    },
  ]
}
