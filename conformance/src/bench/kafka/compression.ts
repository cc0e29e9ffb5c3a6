import type { Message } from '@waybill/core'
import kafkajs, { type Kafka } from 'kafkajs'
import type { Case } from '../../case/case.ts'
import { alterTopic } from './administration.ts'

const { GZIP, Snappy, LZ4, ZSTD } = kafkajs.CompressionTypes

/** What we write, and what the broker makes of it, each by its own library. */
const ways = [
  { written: 'gzip', stored: 'snappy', type: Snappy },
  { written: 'snappy', stored: 'lz4', type: LZ4 },
  { written: 'lz4', stored: 'zstd', type: ZSTD },
  { written: 'zstd', stored: 'gzip', type: GZIP },
] as const

/** Counts what the client decompresses of a type, until `restore` is called. */
function watch(type: (typeof ways)[number]['type']) {
  const { CompressionCodecs: registry } = kafkajs
  const original = registry[type]
  const watched = {
    count: 0,
    restore: () => {
      registry[type] = original
    },
  }
  registry[type] = () => {
    const codec = original()
    return {
      compress: (encoder: { readonly buffer: Buffer }) => codec.compress(encoder),
      decompress: (bytes: Buffer) => {
        watched.count += 1
        return codec.decompress(bytes)
      },
    }
  }
  return watched
}

export const compression = (client: Kafka): Case => ({
  number: 212,
  title:
    'What is compressed with gzip, snappy, lz4 or zstd is read by the broker, and what it compresses by us',
  async run(context) {
    for (const { written, stored, type } of ways) {
      const native = { kafka: { compression: written } }
      const stage = await context.stage({ connect: { native }, topic: { groups: [context.unique('group')] } })
      await alterTopic(client, stage.topic.name, { 'compression.type': stored })
      const watched = watch(type)
      context.defer(() => watched.restore())
      const recorder = context.recorder()
      await stage.consume(recorder)
      const sent: Message[] = []
      // A broker applies a new configuration some time after it has confirmed it.
      await context.eventually(`it stores in ${stored}`, async () => {
        sent.push(...(await stage.send(50)))
        await context.eventually('they arrive', () => recorder.deliveries.length >= sent.length)
        return watched.count > 0
      })
      await context.exactly(recorder, sent)
    }
  },
})
