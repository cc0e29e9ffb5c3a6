import assert from 'node:assert/strict'
import kafkajs, { type Kafka } from 'kafkajs'
import { z } from 'zod'
import type { Section } from '../../case/case.ts'
import { Latch } from '../../case/latch.ts'
import { refusal } from '../../case/refusal.ts'
import type { Stage } from '../../case/stage.ts'
import { abortCases } from './abort-cases.ts'
import { administer } from './administration.ts'
import { atRest } from './at-rest.ts'
import { bookCases } from './book-cases.ts'
import { compression } from './compression.ts'
import { copyCases } from './copy-cases.ts'
import { foreignRecordCases } from './foreign-record-cases.ts'
import { growthCases } from './growth-cases.ts'
import { ipv6Case } from './ipv6-case.ts'
import { movedOffsetCases } from './moved-offset-cases.ts'
import { rackCase } from './rack-case.ts'
import { restrictedCases } from './restricted-cases.ts'
import { rotationCases } from './rotation-cases.ts'
import { secured } from './secured.ts'
import { standstillCase } from './standstill-case.ts'
import { waitingCases } from './waiting-cases.ts'
import { zombieCases } from './zombie-cases.ts'

/** What the driver tells of its subscriptions in `health()`. */
const detailsSchema = z.object({
  subscriptions: z.array(
    z.object({
      partitions: z.array(
        z.object({ topic: z.string(), partition: z.number(), committed: z.string().optional() }),
      ),
    }),
  ),
})

async function partitionsOf({ topic, ...stage }: Pick<Stage, 'bus' | 'topic'>) {
  const { driver } = await stage.bus.health()
  const { subscriptions } = detailsSchema.parse(driver.details)
  return subscriptions
    .flatMap(({ partitions }) => partitions)
    .filter((partition) => partition.topic === topic.name)
}

/** An event in binary mode, as a program without Waybill writes it. */
function foreign({ message }: Stage, id: string) {
  return {
    key: id,
    value: JSON.stringify({ n: 1 }),
    headers: {
      'content-type': 'application/json',
      ce_specversion: '1.0',
      ce_id: id,
      ce_source: '/elsewhere',
      ce_type: message.type,
      ce_dataversion: '1',
    },
  }
}

const onePartition = (group: string) => ({ topic: { partitions: 1, groups: [group] } })

/** What only Kafka has, beyond the contract. `client` is a plain one. */
export function kafkaCases(client: Kafka): Section {
  return {
    title: 'Kafka',
    cases: [
      {
        number: 201,
        title:
          'Of foreign transactions what is committed is delivered, what is aborted is not, and markers are no lag',
        async run(context) {
          const stage = await context.stage(onePartition(context.unique('group')))
          const producer = client.producer({
            transactionalId: context.unique('transactional'),
            idempotent: true,
            maxInFlightRequests: 1,
            createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
          })
          context.defer(() => producer.disconnect())
          await producer.connect()
          const transact = async (how: 'commit' | 'abort', ids: readonly string[]) => {
            const transaction = await producer.transaction()
            await transaction.send({ topic: stage.topic.name, messages: ids.map((id) => foreign(stage, id)) })
            await transaction[how]()
          }
          const recorder = context.recorder()
          const consumer = await stage.consume(recorder)
          await transact('commit', ['a', 'b'])
          await transact('abort', ['never'])
          await transact('commit', ['c'])
          const own = await stage.sendOne()
          await transact('abort', ['nor this'])
          const delivered = [{ id: 'a' }, { id: 'b' }, { id: 'c' }, own]
          await context.exactly(recorder, delivered)
          const position = stage.bus.group(stage.topic, stage.group)
          await context.eventually('the end is committed', async () => {
            const { partitions } = await position.stats()
            return partitions?.length === 1 && partitions.every(({ committed, end }) => committed === end)
          })
          await consumer.stop()
          const after = context.recorder()
          await stage.consume(after)
          await context.exactly(after, [await stage.sendOne()])
        },
      },
      {
        number: 202,
        title: 'health() and stats() tell who has which partitions, what is committed there, and the lag',
        async run(context) {
          const stage = await context.stage({ topic: { partitions: 4, groups: [context.unique('group')] } })
          const other = await context.bus()
          const recorder = context.recorder()
          const gate = new Latch()
          context.defer(() => gate.open())
          await stage.consume(recorder, { member: 'one' }, () => gate.passed())
          await stage.consume(recorder, { member: 'two', bus: other }, () => gate.passed())
          const sent = await stage.send(40)
          const position = stage.bus.group(stage.topic, stage.group)
          const lag = async () => {
            const { partitions = [] } = await position.stats()
            return partitions.reduce((sum, partition) => sum + partition.lag, 0)
          }
          await context.eventually('all of it is lag', async () => (await lag()) === sent.length)
          gate.open()
          await context.exactly(recorder, sent)
          await context.eventually('there is no lag', async () => (await lag()) === 0)
          const { partitions = [] } = await position.stats()
          assert.deepEqual(
            partitions.map(({ partition, committed, end }) => [partition, committed === end]),
            [0, 1, 2, 3].map((index) => [index, true]),
          )
          assert.equal(new Set(partitions.map(({ owner }) => owner)).size, 2, 'not two owners')
          const [mine, theirs] = [await partitionsOf(stage), await partitionsOf({ ...stage, bus: other })]
          assert.deepEqual([mine.length, theirs.length], [2, 2])
          for (const { partition, committed } of [...mine, ...theirs]) {
            assert.equal(committed, partitions[partition]?.committed)
          }
        },
      },
      {
        number: 203,
        title: 'A group is not moved while it has consumers: the error says so, and nothing changes',
        async run(context) {
          const stage = await context.stage()
          const recorder = context.recorder()
          const consumer = await stage.consume(recorder)
          const sent = await stage.send(5)
          await context.exactly(recorder, sent)
          const position = stage.bus.group(stage.topic, stage.group)
          const error = await refusal('seek', position.seek({ to: 'earliest' }), 'rejected')
          assert.ok(error.message.includes('has consumers'), error.message)
          const control = await stage.sendOne()
          await context.exactly(recorder, [...sent, control])
          await consumer.stop()
          await position.seek({ to: 'earliest' })
          const again = context.recorder()
          await stage.consume(again)
          await context.exactly(again, [...sent, control])
        },
      },
      {
        number: 204,
        title: 'Who loses a partition while a handler runs is told, and the late verdict changes nothing',
        timeoutMs: 90_000,
        async run(context) {
          const stage = await context.stage({ topic: { partitions: 2, groups: [context.unique('group')] } })
          const first = context.recorder()
          const late = new Latch()
          context.defer(() => late.open())
          const aborted = new Set<string>()
          await stage.consume(first, { concurrency: 20 }, (message, { signal }) => {
            signal.addEventListener('abort', () => aborted.add(message.id))
            return first.of(message).length === 1 ? late.passed() : undefined
          })
          const sent = await stage.sendBatch(20, {}, {})
          await context.eventually('all of it is in hand', () => first.inFlight === sent.length)
          const second = context.recorder()
          const never = new Latch()
          context.defer(() => never.open())
          const leaving = await context.bus()
          await stage.consume(second, { bus: leaving, concurrency: 20 }, () => never.passed())
          await context.eventually('one partition has moved', () => second.inFlight > 0)
          await context.quiet()
          const moved = second.ids
          assert.ok(moved.length < sent.length, 'both partitions moved')
          assert.deepEqual([...aborted].sort(), [...moved].sort())
          late.open()
          await context.eventually('the first member is through', () => first.inFlight === 0)
          // Gives back what it has, unsettled.
          await leaving.close({ timeout: 1 })
          await context.exactly(
            first,
            [...sent.map(({ id }) => id), ...moved].map((id) => ({ id })),
          )
        },
      },
      {
        number: 207,
        title: 'A group whose next messages the broker has removed goes on with the first that is left',
        async run(context) {
          const stage = await context.stage(onePartition(context.unique('group')))
          const sent = await stage.sendBatch(10, {}, {})
          const { name } = stage.topic
          await administer(client, async (admin) => {
            // It deletes from topics only of which it has asked before.
            await admin.fetchTopicOffsets(name)
            await admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset: '6' }] })
          })
          const recorder = context.recorder()
          await stage.consume(recorder)
          await context.exactly(recorder, [...sent.slice(6), await stage.sendOne()])
        },
      },
      {
        number: 209,
        title:
          'A dead letter that one process resolves is gone for all, also for those that listed it before',
        async run(context) {
          const stage = await context.stage()
          const recorder = context.recorder()
          await stage.consume(recorder, { retry: { attempts: 1 } }, () => {
            if (recorder.deliveries.length <= 3) throw new Error('refused')
          })
          const sent = await stage.send(3)
          const mine = stage.bus.group(stage.topic, stage.group).deadLetters
          const theirs = (await context.bus()).group(stage.topic, stage.group).deadLetters
          await context.eventually('all are dead letters', async () => (await mine.count()) === 3)
          const ids = (await stage.deadLetters()).map(({ id }) => id)
          assert.equal(await theirs.count(), 3)
          assert.equal((await theirs.discard(ids.slice(0, 1))).discarded, 1)
          assert.equal(await mine.count(), 2)
          assert.equal((await mine.replay(ids.slice(1, 2))).replayed, 1)
          assert.equal((await theirs.replay(ids.slice(0, 2))).replayed, 0, 'resolved a second time')
          assert.equal(await theirs.count(), 1)
          assert.equal(await (await context.bus()).group(stage.topic, stage.group).deadLetters.count(), 1)
          await context.eventually('one is delivered again', () => recorder.deliveries.length === 4)
          await context.quiet()
          assert.ok(sent.some(({ id }) => id === recorder.ids[3]))
          assert.equal(recorder.deliveries.length, 4)
        },
      },
      {
        number: 210,
        title: 'The fate of a send whose answer does not come is reported as unknown',
        needs: ['proxy'],
        async run(context) {
          const { options, proxy } = await context.proxied()
          const stage = await context.stage({ connect: options })
          await stage.sendOne()
          proxy.blackhole()
          context.defer(() => proxy.heal())
          const producer = stage.bus.producer({ timeout: context.pace(500) })
          const error = await refusal('send', producer.send(stage.message, { n: 1 }), 'timeout')
          assert.equal(error.fate, 'unknown')
          assert.ok(error.retryable)
        },
      },
      ...waitingCases(client),
      ...movedOffsetCases(client),
      ...growthCases(client),
      ...copyCases(client),
      ...bookCases(client),
      ...foreignRecordCases(client),
      ...rotationCases,
      ...zombieCases(client),
      ...abortCases,
      standstillCase(client),
      ...restrictedCases,
      ipv6Case,
      rackCase,
      secured,
      atRest,
      compression(client),
    ],
  }
}
