import assert from 'node:assert/strict'
import { defineTopic, type Message } from '@waybill/core'
import type { Kafka } from 'kafkajs'
import type { Case } from '../../case/case.ts'
import { refusal } from '../../case/refusal.ts'
import { numbered } from '../../fixtures/numbered.ts'
import { administer } from './administration.ts'

const native = { kafka: { metadataInterval: 1000 } }

/** Topics that get more partitions. */
export function growthCases(client: Kafka): readonly Case[] {
  const countOf = async (topic: string) => {
    const { topics } = await administer(client, (admin) => admin.fetchTopicMetadata({ topics: [topic] }))
    return topics[0]?.partitions.length
  }
  return [
    {
      number: 218,
      title:
        'A topic grows from two to six partitions while both sides run: every confirmed message is handled',
      timeoutMs: 90_000,
      async run(context) {
        for (const ordered of [false, true]) {
          const groups = [context.unique('group')]
          const stage = await context.stage({
            connect: { native },
            topic: { partitions: 2, groups, ordered },
          })
          const recorder = context.recorder()
          const other = await context.bus({ native, topics: [stage.topic] })
          await stage.consume(recorder, { member: 'one' })
          await stage.consume(recorder, { member: 'two', bus: other })
          const { name } = stage.topic
          const sent: Message[] = []
          let grown = 0
          const used = async () => {
            const { partitions = [] } = await stage.bus.group(stage.topic, stage.group).stats()
            return partitions.filter(({ end }) => end !== '0').length
          }
          await context.eventually('all six carry messages', async () => {
            const keys = Array.from({ length: 50 }, (_, index) => `key-${sent.length + index}`)
            sent.push(...(await Promise.all(keys.map((key) => stage.sendOne({ key })))))
            if (sent.length >= 200 && grown === 0) {
              grown = sent.length
              await administer(client, (admin) =>
                admin.createPartitions({ topicPartitions: [{ topic: name, count: 6 }] }),
              )
            }
            return grown > 0 && (await used()) === 6
          })
          await context.exactly(recorder, sent)
          if (ordered) {
            await context.eventually(
              'the retry topic follows',
              async () => (await countOf(`${name}..${stage.group}..retry`)) === 6,
            )
          }
        }
      },
    },
    {
      number: 219,
      title:
        'A definition raises the number of partitions; a lower one is refused with both numbers and what to do',
      async run(context) {
        const name = context.unique('topic')
        const groups = [context.unique('group')]
        const defined = (partitions: number) => defineTopic(name, { partitions, groups, ordered: true })
        const two = defined(2)
        const early = await context.bus({ native, topics: [two] })
        const recorder = context.recorder()
        const message = numbered(two)
        const [group = ''] = groups
        const consumer = early.consumer(group).on(message, recorder.handler())
        await consumer.start()
        const producer = early.producer({ timeout: context.sendTimeoutMs })
        const sent = [await producer.send(message, { n: 1 }, { key: 'a' })]
        const five = defined(5)
        const late = await context.bus({ native, topics: [five] })
        assert.deepEqual([await countOf(name), await countOf(`${name}..${group}..retry`)], [5, 5])
        const raised = late.producer({ timeout: context.sendTimeoutMs })
        const keys = Array.from({ length: 20 }, (_, index) => `key-${index}`)
        for (const key of keys) sent.push(await raised.send(numbered(five), { n: 2 }, { key }))
        await context.exactly(recorder, sent)
        const error = await refusal('connect', context.bus({ topics: [two] }), 'topology-mismatch')
        assert.match(error.message, /2 partitions .* 5 partitions.*set `partitions` to 5/)
        // Whoever ran before goes on, also over a lost subscription.
        await early.provision([two])
      },
    },
  ]
}
