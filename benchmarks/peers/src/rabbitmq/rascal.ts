import { createRequire } from 'node:module'
import type { Contender } from '../../../src/contender.ts'
import type { BenchmarkEvent } from '../../../src/event.ts'

/** What is used of rascal, which has no types of its own. */
interface Rascal {
  readonly BrokerAsPromised: { create(configuration: object): Promise<RascalBroker> }
}

interface RascalBroker {
  on(event: 'error', listener: (error: unknown) => void): void
  publish(publication: string, content: object): Promise<Emitter>
  subscribe(subscription: string): Promise<Emitter & { cancel(): Promise<void> }>
  shutdown(): Promise<void>
}

interface Emitter {
  on(event: string, listener: (...args: never[]) => void): this
}

export const contender: Contender = {
  guarantees:
    'Publisher confirms, each on a channel that is held until then; an ack a message. It reconnects and can retry.',
  works: 'ab',

  async setup({ url, name }) {
    const rascal: Rascal = createRequire(import.meta.url)('rascal')
    const { connect } = await import('amqplib')
    const queue = { options: { durable: true, arguments: { 'x-queue-type': 'quorum' } } }
    const broker = await rascal.BrokerAsPromised.create({
      vhosts: {
        '/': {
          connection: { url },
          exchanges: { [name]: { type: 'topic' } },
          queues: { [name]: queue },
          bindings: [`${name}[#] -> ${name}`],
          publications: {
            event: { exchange: name, routingKey: 'benchmark.event', options: { persistent: true } },
          },
          subscriptions: { event: { queue: name, prefetch: 100 } },
        },
      },
    })
    broker.on('error', console.error)
    return {
      async send(event) {
        const publication = await broker.publish('event', event)
        await new Promise<void>((resolve, reject) => {
          publication.on('success', () => resolve()).on('error', reject)
        })
      },
      async consume(handle) {
        const subscription = await broker.subscribe('event')
        const onMessage = async (_message: unknown, content: BenchmarkEvent, ackOrNack: () => void) => {
          await handle(content)
          ackOrNack()
        }
        subscription.on('message', onMessage).on('error', console.error)
        return () => subscription.cancel()
      },
      async remaining() {
        const connection = await connect(url)
        const { messageCount } = await (await connection.createChannel()).checkQueue(name)
        await connection.close()
        return messageCount
      },
      teardown: () => broker.shutdown(),
    }
  },
}
