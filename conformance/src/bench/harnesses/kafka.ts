import { setTimeout as sleep } from 'node:timers/promises'
import { adapter, type KafkaOptions } from '@waybill/adapter-kafka'
import type { Topic } from '@waybill/core'
import kafkajs, { type IHeaders } from 'kafkajs'
import type { Harness, RawMessage } from '../../harness.ts'
import { exchange } from '../brokers/exchange.ts'
import { startBroker } from '../brokers/index.ts'
import { administer, alterTopic, untilWritesFail } from '../kafka/administration.ts'
import { atBroker } from './at-broker.ts'
import { wrongConnections } from './wrong-connections.ts'

const options: KafkaOptions = {
  // A dead member, and a connection that says nothing, count as lost sooner than by default: soon enough for a test.
  sessionTimeout: '6s',
  requestTimeout: '5s',
  connectTimeout: '3s',
  // Fewer partitions than by default: cases make hundreds of groups.
  delayTiers: ['1s', '6s', '40s'],
  retryPartitions: 2,
}

/** Inside the container, in hexadecimal as the kernel lists it. */
const clientPort = (9092).toString(16).toUpperCase()
const established = '01'

/** LeaveGroup, version 1 (Kafka protocol guide, "LeaveGroup API", "Request Header v1"). */
const leaveGroup = 13

export async function open(): Promise<{
  harness: Harness
  /** A plain one. */
  client: kafkajs.Kafka
  close(): Promise<void>
}> {
  const broker = await startBroker('kafka', {
    // Six seconds is the least a member may ask for by default.
    configuration: { 'group.min.session.timeout.ms': '1000' },
  })
  const client = new kafkajs.Kafka({
    brokers: [`${broker.host}:${broker.port}`],
    clientId: 'conformance',
    logLevel: kafkajs.logLevel.NOTHING,
  })

  const harness: Harness = {
    name: 'kafka',
    ...atBroker(broker, adapter, options),
    timeScale: 2,
    wrong: await wrongConnections(broker.url, { asksForCredentials: false }),
    inspect: {
      async publishRaw({ name }, { body, contentType, headers, key }) {
        const producer = client.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
        try {
          await producer.connect()
          const all = { ...headers, ...(contentType !== undefined && { 'content-type': contentType }) }
          await producer.send({
            topic: name,
            messages: [{ key: key ?? null, value: Buffer.from(body), headers: all }],
          })
        } finally {
          await producer.disconnect()
        }
      },
      async rawMessages({ name }) {
        const ends = await administer(client, (admin) => admin.fetchTopicOffsets(name))
        const wanted = ends.reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0)
        const messages: (RawMessage & { readonly timestamp: number })[] = []
        const consumer = client.consumer({ groupId: `raw-${name}-${Date.now()}`, maxWaitTimeInMs: 100 })
        try {
          await consumer.connect()
          await consumer.subscribe({ topics: [name], fromBeginning: true })
          await consumer.run({
            eachMessage: async ({ message: { key, value, headers, timestamp } }) => {
              messages.push({ ...toRaw(key, value, headers), timestamp: Number(timestamp) })
            },
          })
          for (let poll = 0; messages.length < wanted && poll < 200; poll += 1) await sleep(50)
        } finally {
          await consumer.disconnect()
        }
        return messages.sort((a, b) => a.timestamp - b.timestamp)
      },
      async breakSubscription({ name }: Topic, group: string) {
        const groupId = `${name}:${group}`
        const { groups } = await administer(client, (admin) => admin.describeGroups([groupId]))
        for (const { memberId } of groups[0]?.members ?? []) {
          await exchange(broker.host, broker.port, leaveGroupRequest(groupId, memberId))
        }
      },
      async failDeadLetterWrites({ name }: Topic, group: string) {
        const letters = `${name}..${group}..dead`
        const config = { 'cleanup.policy': 'compact' }
        await alterTopic(client, letters, { ...config, 'max.message.bytes': '1' })
        await untilWritesFail(client, letters)
        return () => alterTopic(client, letters, config)
      },
      ...(broker.canRestart && {
        async connectionCount() {
          const { output } = await broker.exec(['cat', '/proc/net/tcp', '/proc/net/tcp6'])
          const sockets = output.split('\n').map((line) => line.trim().split(/\s+/))
          return sockets.filter(
            ([, local, , state]) => local?.endsWith(`:${clientPort}`) && state === established,
          ).length
        },
      }),
    },
    lowered: {
      delay: { limitMs: 400, options: { native: { kafka: { hold: 400, delayTiers: [100, 200, 400] } } } },
      messageBytes: { native: { kafka: { maxMessageBytes: 128 * 1024 } } },
    },
  }
  return { harness, client, close: () => broker.stop() }
}

function toRaw(key: Buffer | null, value: Buffer | null, raw: IHeaders | undefined): RawMessage {
  const { 'content-type': contentType, ...headers } = Object.fromEntries(
    Object.entries(raw ?? {}).map(([name, text]) => [name, String(text)]),
  )
  return {
    body: value ?? Buffer.alloc(0),
    contentType,
    headers,
    ...(key !== null && { key: key.toString() }),
  }
}

function leaveGroupRequest(groupId: string, memberId: string): Buffer {
  const header = Buffer.from([0, leaveGroup, 0, 1, 0, 0, 0, 1, 0xff, 0xff])
  const message = Buffer.concat([header, text(groupId), text(memberId)])
  const size = Buffer.alloc(4)
  size.writeInt32BE(message.length)
  return Buffer.concat([size, message])
}

/** A string as the protocol has it: two bytes of length, then UTF-8. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  const length = Buffer.alloc(2)
  length.writeInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}
