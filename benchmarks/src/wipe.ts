import type { RunningBroker } from '../../conformance/src/bench/brokers/index.ts'
import type { Broker } from './contender.ts'

/**
 * Removes what a contender left at the broker, so that the next one finds the broker as the first did. Only brokers in
 * containers of ours are wiped.
 */
export async function wipe(name: Broker, broker: RunningBroker): Promise<void> {
  if (broker.canRestart) await wipers[name](broker)
}

const wipers: Readonly<Record<Broker, (broker: RunningBroker) => Promise<unknown>>> = {
  redis: (broker) => broker.exec(['redis-cli', 'flushall']),

  async rabbitmq(broker) {
    const { connect } = await import('amqplib')
    const connection = await connect(broker.url)
    const channel = await connection.createChannel()
    for (const queue of await listed(broker, 'list_queues')) await channel.deleteQueue(queue)
    const exchanges = await listed(broker, 'list_exchanges')
    for (const exchange of exchanges.filter((each) => !each.startsWith('amq.'))) {
      await channel.deleteExchange(exchange)
    }
    await connection.close()
  },

  async kafka(broker) {
    const { Kafka, logLevel } = await import('kafkajs')
    const admin = new Kafka({ brokers: [new URL(broker.url).host], logLevel: logLevel.ERROR }).admin()
    await admin.connect()
    const topics = (await admin.listTopics()).filter((topic) => !topic.startsWith('__'))
    if (topics.length > 0) await admin.deleteTopics({ topics })
    await admin.disconnect()
  },

  async sqs(broker) {
    const { DeleteQueueCommand, ListQueuesCommand, SQSClient } = await import('@aws-sdk/client-sqs')
    const client = new SQSClient({
      endpoint: `http://${broker.host}:${broker.port}`,
      region: 'us-east-1',
      credentials: { accessKeyId: 'benchmark', secretAccessKey: 'benchmark' },
    })
    const { QueueUrls: urls = [] } = await client.send(new ListQueuesCommand({ MaxResults: 1000 }))
    for (const url of urls) await client.send(new DeleteQueueCommand({ QueueUrl: url }))
    client.destroy()
  },
}

/** The names that an administration command of RabbitMQ lists. */
async function listed(broker: RunningBroker, command: string): Promise<string[]> {
  const { exitCode, output } = await broker.exec([
    'rabbitmqctl',
    '--quiet',
    '--no-table-headers',
    command,
    'name',
  ])
  if (exitCode !== 0) throw new Error(`rabbitmqctl ${command}: ${output}`)
  return output.split('\n').filter((name) => name !== '')
}
