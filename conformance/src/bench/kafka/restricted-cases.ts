import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { adapter } from '@waybill/adapter-kafka'
import { type Bus, type ConnectOptions, connect, fixed } from '@waybill/core'
import kafkajs, { type Kafka } from 'kafkajs'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { assertFirstWords } from '../../case/first-words.ts'
import { refusal } from '../../case/refusal.ts'
import { Stage } from '../../case/stage.ts'
import { numbered } from '../../fixtures/numbered.ts'
import { startBroker } from '../brokers/index.ts'
import { administer, alterTopic, produce } from './administration.ts'

const user = 'restricted'
const password = 'secret'

/** Names of the harness's listeners; who comes by the first for proxies has a name, all others may do everything. */
const namedListener = 'PROXIED0'
const otherListeners = ['CONTROLLER', 'CLIENT', 'INTERNAL', 'PROXIED1', 'PROXIED2', 'PROXIED3']

const plainModule = 'org.apache.kafka.common.security.plain.PlainLoginModule required'

/** The keys are those of Kafka's documentation, "Security", "Authorization and ACLs". */
const configuration = {
  'listener.security.protocol.map': [
    ...otherListeners.map((name) => `${name}:PLAINTEXT`),
    `${namedListener}:SASL_PLAINTEXT`,
  ].join(','),
  [`listener.name.${namedListener.toLowerCase()}.sasl.enabled.mechanisms`]: 'PLAIN',
  [`listener.name.${namedListener.toLowerCase()}.plain.sasl.jaas.config`]: `${plainModule} user_${user}="${password}";`,
  'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
  'super.users': 'User:ANONYMOUS',
}

interface Restricted {
  /** As the user who may only connect, until more is granted. */
  readonly options: ConnectOptions
  /** As one who may do everything. */
  readonly open: ConnectOptions
  readonly client: Kafka
  bus(options: ConnectOptions): Promise<Bus>
}

async function restrictedBroker(context: CaseContext): Promise<Restricted> {
  const broker = await startBroker('kafka', { configuration })
  context.defer(() => broker.stop())
  const { port } = new URL((await broker.openProxy()).url)
  const client = new kafkajs.Kafka({
    brokers: [`${broker.host}:${broker.port}`],
    logLevel: kafkajs.logLevel.NOTHING,
  })
  const common = { adapter, console: false, timeout: context.sendTimeoutMs }
  return {
    options: { ...common, url: `kafka://${user}:${password}@127.0.0.1:${port}?sasl=plain` },
    open: { ...common, url: broker.url },
    client,
    async bus(options) {
      const bus = await connect(options)
      context.defer(() => bus.close())
      return bus
    },
  }
}

/** Everything that the adapter's README asks for, and no right to alter topics. */
async function grantUsualRights(client: Kafka): Promise<void> {
  const { AclOperationTypes: operations, AclResourceTypes: resources } = kafkajs
  const allowed = [
    ...[
      operations.READ,
      operations.WRITE,
      operations.CREATE,
      operations.DESCRIBE,
      operations.DESCRIBE_CONFIGS,
    ].map((operation) => ({ operation, resourceType: resources.TOPIC, resourceName: '*' })),
    ...[operations.READ, operations.DESCRIBE].map((operation) => ({
      ...{ operation, resourceType: resources.GROUP, resourceName: '*' },
    })),
  ]
  await administer(client, (admin) =>
    admin.createAcls({
      acl: allowed.map((each) => ({
        ...each,
        resourcePatternType: kafkajs.ResourcePatternTypes.LITERAL,
        principal: `User:${user}`,
        host: '*',
        permissionType: kafkajs.AclPermissionTypes.ALLOW,
      })),
    }),
  )
}

/** What a user with few rights meets, on a broker that asks for rights. */
export const restrictedCases: readonly Case[] = [
  {
    number: 234,
    title: 'A missing right is refused by one sentence that says what is not allowed, and sends nothing',
    needs: ['restart'],
    timeoutMs: 120_000,
    async run(context) {
      const { options, open, bus } = await restrictedBroker(context)
      const topic = context.topic({ groups: [context.unique('group')] })
      const creating = await refusal('provision', (await bus(options)).provision([topic]), 'access-denied')
      assertFirstWords('rights', creating.message)
      assert.equal(creating.retryable, false)
      await bus({ ...open, topics: [topic] })
      const unprovisioned = await bus({ ...options, provision: 'none' })
      const producer = unprovisioned.producer({ timeout: context.pace(5000) })
      const sending = await refusal('send', producer.send(numbered(topic), { n: 1 }), 'access-denied')
      assertFirstWords('rights', sending.message)
      assert.equal(sending.fate, 'not-sent')
      const consumer = unprovisioned.consumer(topic.groups[0]?.name ?? '').on(numbered(topic), () => {})
      const starting = refusal('start', consumer.start({ timeout: context.pace(5000) }), 'access-denied')
      assertFirstWords('rights', (await starting).message)
    },
  },
  {
    number: 235,
    title:
      'What fits no topic of the group, and may not be given room, is retried, and dead-lettered by the place where it is',
    needs: ['restart'],
    timeoutMs: 180_000,
    async run(context) {
      const { options, client, bus } = await restrictedBroker(context)
      await grantUsualRights(client)
      const groups = [context.unique('group')]
      const stage = await Stage.open(context, { bus: await bus(options), topic: { partitions: 1, groups } })
      const { name } = stage.topic
      await alterTopic(client, name, { 'max.message.bytes': '3000000' })
      const recorder = context.recorder()
      let fails = true
      await stage.consume(
        recorder,
        { retry: { attempts: 2, backoff: fixed(context.pace(100)) } },
        ({ id }) => {
          if (id === 'large' && fails) throw new Error('refused')
        },
      )
      await produce(client, name, {
        compression: kafkajs.CompressionTypes.GZIP,
        messages: [
          {
            key: 'large',
            value: JSON.stringify({ n: 0, pad: randomBytes(1_300_000).toString('base64') }),
            headers: {
              'content-type': 'application/json',
              ce_specversion: '1.0',
              ce_id: 'large',
              ce_source: '/elsewhere',
              ce_type: stage.message.type,
              ce_dataversion: '1',
            },
          },
        ],
      })
      const neighbours = await stage.sendBatch(10, {}, {})
      await context.exactly(recorder, [...neighbours, { id: 'large' }, { id: 'large' }])
      await context.eventually('it is a dead letter', async () => (await stage.deadLetters()).length === 1)
      const [letter] = await stage.deadLetters()
      assert.ok((letter?.body.byteLength ?? 0) > 1_000_000, 'it is not shown with its body')
      fails = false
      const replay = () => stage.bus.group(stage.topic, stage.group).deadLetters.replayAll()
      const { message } = await refusal('replay', replay(), 'too-large')
      const [, retries = '', bytes = ''] =
        /topic (\S+), .* raise its max.message.bytes to (\d+)/.exec(message) ?? []
      assert.ok(retries.includes(name), message)
      await alterTopic(client, retries, { 'max.message.bytes': bytes })
      await context.eventually('it is replayed', async () => (await replay().catch(() => 0)) === 1)
      await context.exactly(recorder, [...neighbours, ...Array.from({ length: 3 }, () => ({ id: 'large' }))])
    },
  },
]
