import type { Contender } from '../../contender.ts'
import { createClient, createConsumer, createProducer, createTopic, remainingOf } from './client.ts'

/** As kafkajs' documentation has it: a send a message, `eachMessage`, offsets committed by the client. */
export function eachMessage(
  settings: Pick<Contender, 'guarantees' | 'works'> & { idempotent: boolean },
): Contender {
  return {
    guarantees: settings.guarantees,
    works: settings.works,

    async setup({ url, name, ordered }) {
      const kafka = await createClient(url)
      const admin = await createTopic(kafka, name)
      const producer = await createProducer(kafka, settings.idempotent)
      return {
        async send(event) {
          const value = JSON.stringify(event)
          await producer.send({ topic: name, messages: [ordered ? { key: event.key, value } : { value }] })
        },
        async consume(handle) {
          const consumer = await createConsumer(kafka, name)
          await consumer.run({
            eachMessage: async ({ message }) => {
              await handle(JSON.parse(message.value?.toString() ?? ''))
            },
          })
          return () => consumer.disconnect()
        },
        remaining: () => remainingOf(admin, name),
        async teardown() {
          await Promise.all([producer.disconnect(), admin.disconnect()])
        },
      }
    },

    async coldStart(url, { imported, connected }) {
      await import('kafkajs')
      imported()
      const producer = await createProducer(await createClient(url), settings.idempotent)
      connected()
      return () => producer.disconnect()
    },
  }
}
