import assert from 'node:assert/strict'
import { defineTopic, exponential, type Message } from '@waybill/core'
import type { IHeaders, Kafka } from 'kafkajs'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import type { Stage } from '../../case/stage.ts'
import { produce } from './administration.ts'

interface RawRecord {
  readonly partition: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: IHeaders
}

/** Reads `count` records of a topic past the SDK. */
async function read(client: Kafka, context: CaseContext, topic: string, count: number): Promise<RawRecord[]> {
  const consumer = client.consumer({ groupId: context.unique('raw'), maxWaitTimeInMs: 100 })
  context.defer(() => consumer.disconnect())
  const records: RawRecord[] = []
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ partition, message: { key, value, headers } }) => {
      records.push({ partition, key, value, headers: headers ?? {} })
    },
  })
  await context.eventually(`${count} records in ${topic}`, () => records.length >= count)
  return records
}

function structured({ message }: Stage, id: string): string {
  const event = {
    specversion: '1.0',
    id,
    source: '/elsewhere',
    type: message.type,
    dataversion: '1',
    data: { n: 1 },
  }
  return JSON.stringify(event)
}

const contentType = 'application/cloudevents+json'

/** What other programs write, and how it comes through. */
export function foreignRecordCases(client: Kafka): readonly Case[] {
  return [
    {
      number: 225,
      title:
        'Keys and headers that are no text, repeated or empty, and the time of a record stay whole through all copies',
      timeoutMs: 90_000,
      async run(context) {
        const groups = [context.unique('group')]
        const stage = await context.stage({ topic: { partitions: 8, ordered: true, groups } })
        const { name } = stage.topic
        const keys = [0, 1, 2, 3].map((last) => Buffer.from([0x00, 0xff, 0x10, 0x80 + last]))
        const headers = {
          trace: ['a', 'b'],
          raw: Buffer.from([0xff, 0xfe]),
          'content-type': contentType,
        }
        // Of an hour ago: what is older than the topic's retention the broker may delete at any moment.
        const timestamp = String(Date.now() - 3_600_000)
        const seen: Message[] = []
        let isHealed = false
        const recorder = context.recorder()
        const retry = { attempts: 2, backoff: exponential({ initial: context.pace(100) }) }
        await stage.consume(recorder, { retry }, (message) => {
          seen.push(message)
          if (!isHealed) throw new Error('refused')
        })
        await produce(client, name, {
          messages: keys.map((key, index) => ({
            key,
            value: structured(stage, `id-${index}`),
            headers,
            timestamp,
          })),
        })
        const letters = stage.bus.group(stage.topic, stage.group).deadLetters
        await context.eventually('all are dead letters', async () => (await letters.count()) === keys.length)
        isHealed = true
        assert.equal(await letters.replayAll(), keys.length)
        await context.eventually('all are handled', () => seen.length === 3 * keys.length)
        assert.deepEqual(
          new Set(seen.map((message) => message.timestamp.getTime())),
          new Set([Number(timestamp)]),
        )
        const sources = await read(client, context, name, keys.length)
        const replayed = await read(client, context, `${name}..${stage.group}..retry`, keys.length)
        for (const source of sources) {
          const copy = replayed.find(({ key }) => source.key !== null && key?.equals(source.key))
          assert.ok(copy, 'a key changed')
          assert.equal(copy.partition, source.partition, 'another partition')
          for (const header of Object.keys(headers))
            assert.deepEqual(copy.headers[header], source.headers[header])
        }
      },
    },
    {
      number: 226,
      title: 'A tombstone is handled as the deletion of its key by who asks for it, and otherwise skipped',
      async run(context) {
        const groups = [context.unique('asks'), context.unique('other')]
        const stage = await context.stage({ topic: { partitions: 1, groups } })
        const deletions: Message[] = []
        const [asks = '', other = ''] = groups
        await stage.bus
          .consumer(asks)
          .on(stage.topic, 'record.deleted', async (message) => {
            deletions.push(message)
          })
          .start()
        const recorder = context.recorder()
        await stage.consume(recorder, { group: other })
        await produce(client, stage.topic.name, { messages: [{ key: 'user-1', value: null }] })
        await context.exactly(recorder, [await stage.sendOne()])
        await context.eventually('it is handled', () => deletions.length === 1)
        assert.equal(deletions[0]?.key, 'user-1')
        assert.equal(deletions[0]?.data, null)
        assert.deepEqual(await stage.deadLetters(other), [])
      },
    },
    {
      number: 227,
      title: 'Topics, consumer groups and dead letter topics that exist under other names are used',
      async run(context) {
        const existing = `_${context.unique('existing')}.${'x'.repeat(100)}`
        const groupId = `__${context.unique('their.group')}`
        const deadLetterTopic = `${existing}.letters`
        const group = context.unique('group')
        const topic = defineTopic(context.unique('topic'), {
          partitions: 2,
          groups: [group],
          native: { kafka: { topic: existing, groups: { [group]: { groupId, deadLetterTopic } } } },
        })
        const bus = await context.bus({ topics: [topic] })
        const stage = await context.stage()
        const recorder = context.recorder()
        await bus
          .consumer(group, { retry: { attempts: 1 } })
          .on(
            topic,
            '#',
            recorder.handler('only', () => {
              throw new Error('refused')
            }),
          )
          .start()
        const key = 'k'
        const headers = { 'content-type': contentType }
        await produce(client, existing, { messages: [{ key, value: structured(stage, 'theirs'), headers }] })
        await context.eventually('it is handled', () => recorder.deliveries.length === 1)
        assert.equal((await read(client, context, deadLetterTopic, 1)).length, 1)
        const admin = client.admin()
        context.defer(() => admin.disconnect())
        await admin.connect()
        const { groups } = await admin.describeGroups([groupId])
        assert.equal(groups[0]?.members.length, 1)
      },
    },
  ]
}
