import type { Contender } from '../../../src/contender.ts'
import { createClient, createTopic, remainingOf } from '../../../src/contenders/kafka/client.ts'
import type { BenchmarkEvent } from '../../../src/event.ts'

export const contender: Contender = {
  guarantees:
    'kafkajs underneath: acks from all in-sync replicas, not idempotent, a request a message; handlers one at a time, offsets committed after each fetch. A handler that throws an event away is not asked again.',
  works: 'ab',

  async setup({ url, name }) {
    const { ClientProxyFactory, Transport } = await import('@nestjs/microservices')
    const { lastValueFrom } = await import('rxjs')
    const { startNestApplication } = await import('../nest-application.ts')
    const brokers = [new URL(url).host]
    const kafka = await createClient(url)
    const admin = await createTopic(kafka, name)
    const client = ClientProxyFactory.create({
      transport: Transport.KAFKA,
      options: { client: { brokers, logLevel: 1 }, producerOnlyMode: true },
    })
    await client.connect()
    return {
      async send(event) {
        // As it is, an event with a `key` would be taken for a Kafka message without a value.
        await lastValueFrom(client.emit(name, { value: event }), { defaultValue: undefined })
      },
      consume: (handle) =>
        startNestApplication<BenchmarkEvent, unknown>(
          {
            transport: Transport.KAFKA,
            options: {
              client: { brokers, logLevel: 1 },
              // Taken as it is, so that the group is the topic's as with the other contenders.
              postfixId: '',
              consumer: { groupId: name },
              subscribe: { fromBeginning: true },
            },
          },
          name,
          (event) => handle(event),
        ),
      remaining: () => remainingOf(admin, name),
      async teardown() {
        await client.close()
        await admin.disconnect()
      },
    }
  },
}
