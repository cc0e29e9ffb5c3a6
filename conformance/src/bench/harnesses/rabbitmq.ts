import { adapter, type RabbitmqOptions } from '@waybill/adapter-rabbitmq'
import type { Topic } from '@waybill/core'
import type { Harness, RawMessage } from '../../harness.ts'
import { startBroker } from '../brokers/index.ts'
import { Administration } from '../rabbitmq/administration.ts'
import { atBroker } from './at-broker.ts'
import { wrongConnections } from './wrong-connections.ts'

/** Two of them without a sign of life, and a connection counts as lost: soon enough for a test. */
const heartbeat = '3s'

/** RabbitMQ documentation, "Management Plugin". */
const managementPort = 15_672

export interface OpenRabbitmq {
  readonly harness: Harness
  readonly administration: Administration
  close(): Promise<void>
}

export async function open(): Promise<OpenRabbitmq> {
  const broker = await startBroker('rabbitmq', {
    publish: [managementPort],
    files: [{ target: '/etc/rabbitmq/enabled_plugins', content: '[rabbitmq_management].\n' }],
    // Nobody looks at its figures, and they cost time.
    configuration: { 'management_agent.disable_metrics_collector': 'true' },
  })
  const managementUrl = broker.canRestart
    ? `http://guest:guest@${broker.host}:${broker.portOf(managementPort)}`
    : undefined
  const options: RabbitmqOptions = { heartbeat, ...(managementUrl !== undefined && { managementUrl }) }

  const administration = new Administration(broker)
  const plainly = administration.plainly.bind(administration)
  const control = administration.control.bind(administration)
  const list = administration.list.bind(administration)

  const makePowerless = async (user: string, password: string) => {
    await control('add_user', user, password)
    await control('set_permissions', user, '^$', '^$', '^$')
  }

  const queuesOf = ({ name, ordered, partitions }: Topic, group: string) =>
    ordered
      ? Array.from({ length: partitions }, (_, index) => `${name}:${group}:${index}`)
      : [`${name}:${group}`]

  const harness: Harness = {
    name: 'rabbitmq',
    ...atBroker(broker, adapter, options),
    timeScale: 2,
    wrong: await wrongConnections(broker.url, { ...(broker.canRestart && { makePowerless }) }),
    inspect: {
      publishRaw: (topic, { type, body, contentType, headers, key }) =>
        plainly(async (channel) => {
          // Foreign senders to an ordered topic name a partition; any will do, as long as a key keeps to it.
          const routingKey = topic.ordered ? `0.${type}` : type
          channel.publish(topic.name, routingKey, Buffer.from(body), {
            persistent: true,
            headers: { ...headers, ...(key !== undefined && { 'cloudEvents:partitionkey': key }) },
            ...(contentType !== undefined && { contentType }),
          })
          await channel.waitForConfirms()
        }),
      rawMessages: async (topic, group) => {
        const messages = await administration.takeAll(...queuesOf(topic, group))
        return messages.map(
          ({ content, properties: { contentType, headers } }): RawMessage => ({
            body: content,
            contentType,
            headers: { ...headers },
          }),
        )
      },
      ...(broker.canRestart && {
        unsettled: async (topic: Topic, group: string) => {
          const queues = new Set(queuesOf(topic, group))
          const rows = await list('list_queues', 'name', 'messages_unacknowledged')
          return rows.reduce(
            (sum, [name, unsettled]) => sum + (queues.has(name ?? '') ? Number(unsettled) : 0),
            0,
          )
        },
        breakSubscription: async (topic: Topic, group: string) => {
          const queues = new Set(queuesOf(topic, group))
          const consumers = await list('list_consumers', 'queue_name', 'channel_pid')
          const channels = new Set(
            consumers.flatMap(([queue, pid]) => (queues.has(queue ?? '') ? [pid] : [])),
          )
          const connections = new Set(
            (await list('list_channels', 'pid', 'connection')).flatMap(([pid, connection]) =>
              connection !== undefined && channels.has(pid) ? [connection] : [],
            ),
          )
          for (const connection of connections) await control('close_connection', connection, 'conformance')
        },
        async failDeadLetterWrites({ name }: Topic, group: string) {
          const queue = `${name}:${group}:dead`
          // A quorum queue takes one message before it refuses: this one.
          await plainly(async (channel) => {
            channel.sendToQueue(queue, Buffer.from('filler'), { type: 'filler', persistent: true })
            await channel.waitForConfirms()
          })
          const full = JSON.stringify({ 'max-length': 0, overflow: 'reject-publish' })
          await control(
            'set_policy',
            '--apply-to',
            'queues',
            queue,
            `^${queue.replaceAll('.', '\\.')}$`,
            full,
          )
          const heal = async () => {
            await plainly(async (channel) => {
              const filler = await channel.get(queue)
              if (filler === false || filler.properties.type !== 'filler')
                throw new Error('The filler is gone')
              channel.ack(filler)
            })
            await control('clear_policy', queue)
          }
          let healed: Promise<void> | undefined
          return () => {
            healed ??= heal()
            return healed
          }
        },
        connectionCount: async () => (await list('list_connections', 'pid')).length,
      }),
    },
    lowered: { delay: { limitMs: 968, options: { native: { rabbitmq: { longestDelay: '1s' } } } } },
  }
  return { harness, administration, close: () => broker.stop() }
}
