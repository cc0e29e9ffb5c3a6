import type { Contender } from '../contender.ts'
import type { BenchmarkEvent } from '../event.ts'

const group = 'benchmark'

/** The same code on every broker: everything at its defaults, each event validated on both sides. */
export const contender: Contender = {
  guarantees:
    'A send resolves when the broker has taken responsibility (confirms, acks from all in-sync replicas, idempotent on Kafka); at least once, with retries, dead letters and schema validation.',
  works: 'abcdegh',

  async setup({ url, name, ordered }) {
    const { connect, defineMessage, defineTopic } = await import('@waybill/core')
    const { eventSchema } = await import('../event-schema.ts')
    const topic = defineTopic(name, { ordered, groups: [group] })
    const definition = defineMessage(topic, 'benchmark.event', {
      schema: eventSchema,
      ...(ordered && { key: (event: BenchmarkEvent) => event.key }),
    })
    const bus = await connect({ url, topics: [topic] })
    bus.on('failure', ({ what, error }) => console.error(`${what}: ${error.message}`))
    const producer = bus.producer()
    return {
      async send(event) {
        await producer.send(definition, event)
      },
      async consume(handle, concurrency) {
        const consumer = bus.consumer(group, { concurrency })
        consumer.on(definition, (message) => handle(message.data))
        await consumer.start()
        return async () => {
          await consumer.stop()
        }
      },
      async remaining() {
        const { waiting, inFlight = 0, partitions = [] } = await bus.group(topic, group).stats()
        return (waiting ?? partitions.reduce((sum, { lag }) => sum + lag, 0)) + (inFlight ?? 0)
      },
      teardown: () => bus.close(),
    }
  },

  async coldStart(url, { imported, connected }) {
    const { connect } = await import('@waybill/core')
    imported()
    const bus = await connect({ url })
    connected()
    return () => bus.close()
  },
}
