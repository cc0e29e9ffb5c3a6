import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import kafkajs from 'kafkajs'
import type { Case } from '../../case/case.ts'
import { numbered } from '../../fixtures/numbered.ts'
import { startBroker } from '../brokers/index.ts'
import { administer } from './administration.ts'
import { secondBrokerPort, startSecondBroker } from './second-broker.ts'

/** Kafka's documentation, "Broker Configs". */
const selector = {
  'replica.selector.class': 'org.apache.kafka.common.replica.RackAwareReplicaSelector',
  'default.replication.factor': '2',
}

export const rackCase: Case = {
  number: 237,
  title:
    'A consumer with a rackId reads from the replica of its rack while sends go to the leader, and goes on when that replica dies',
  needs: ['restart'],
  timeoutMs: 120_000,
  async run(context) {
    const configuration = { ...selector, 'broker.rack': 'far' }
    const broker = await startBroker('kafka', { configuration, publish: [secondBrokerPort] })
    context.defer(() => broker.stop())
    const far = await broker.openProxy()
    const replica = await startSecondBroker(broker, { ...selector, 'broker.rack': 'near' })
    const near = replica.proxy
    context.defer(() => near.close())

    const client = new kafkajs.Kafka({ brokers: [`${far.host}:${far.port}`], logLevel: 0 })
    const group = context.unique('group')
    const topic = context.topic({ partitions: 1, groups: [group] })
    await administer(client, async (admin) => {
      const isWhole = async () => (await admin.describeCluster()).brokers.length === 2
      await context.eventually('both brokers are there', isWhole, context.pace(30_000))
      const replicaAssignment = [{ partition: 0, replicas: [1, 2] }]
      // The second broker has only just come, and the plain client gives up at the first connection that it closes.
      const isMade = async () => {
        await admin.createTopics({ waitForLeaders: true, topics: [{ topic: topic.name, replicaAssignment }] })
        return true
      }
      await context.eventually('the topic is there', isMade, context.pace(30_000))
    })

    const bus = await context.bus({ url: far.url, native: { kafka: { rackId: 'near' } }, topics: [topic] })
    const recorder = context.recorder()
    const message = numbered(topic)
    await bus.consumer(group).on(message, recorder.handler()).start()
    const producer = bus.producer({ timeout: context.sendTimeoutMs })
    const sent = [await producer.send(message, { n: 0 })]
    // The leader has told it by now where to read.
    await context.exactly(recorder, sent)

    const before = { far: { ...far.bytes }, near: { ...near.bytes } }
    const ballast = randomBytes(5000).toString('hex')
    const count = 200
    const volume = count * ballast.length
    for (let n = 1; n <= count; n += 1) sent.push(await producer.send(message, { n, key: ballast }))
    await context.exactly(recorder, sent)
    assert.ok(far.bytes.fromClients - before.far.fromClients > volume, 'the leader got what was sent')
    assert.ok(near.bytes.fromTarget - before.near.fromTarget > volume, 'it was read from the replica')
    assert.ok(far.bytes.fromTarget - before.far.fromTarget < volume / 4, 'little came from the leader')
    assert.ok(near.bytes.fromClients - before.near.fromClients < volume / 4, 'little went to the replica')

    await replica.kill()
    for (let n = 1; n <= 20; n += 1) sent.push(await producer.send(message, { n }))
    await context.exactly(recorder, sent, { withinMs: context.pace(40_000) })
  },
}
