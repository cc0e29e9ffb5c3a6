/** Sends one message in Avro and one in Protobuf, and prints what arrives. */
import { connect, defineMessage, defineTopic } from '@waybill/core'
import { z } from 'zod'
import { avro } from './avro.ts'
import { startRegistry } from './loopback-registry.ts'
import { avroRecords, proto, protoMessages } from './messages.ts'
import { protobufOf } from './protobuf.ts'

const registry = await startRegistry()
const bus = await connect({ url: process.env.WAYBILL_URL ?? 'memory:' })
// Topics of its own for each run, so that it can be run again on a broker that keeps them.
const run = Date.now().toString(36)

const groups = ['billing'] as const
const registryUrl = process.env.REGISTRY_URL ?? registry.url
const inAvro = defineTopic(`avro-${run}`, { groups, codec: avro({ registryUrl, records: avroRecords }) })
const inProtobuf = defineTopic(`protobuf-${run}`, {
  groups,
  codec: protobufOf({ proto, messages: protoMessages }),
})
const AvroPlaced = defineMessage(inAvro, 'order.placed', {
  schema: z.object({ orderId: z.string(), total: z.number(), note: z.string().nullable() }),
})
const ProtobufPlaced = defineMessage(inProtobuf, 'order.placed', {
  schema: z.object({
    orderId: z.string(),
    total: z.number(),
    customer: z.string(),
    signature: z.instanceof(Uint8Array),
  }),
})

try {
  let left = 2
  let finish = () => {}
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  const print = ({ type, data }: { readonly type: string; readonly data: unknown }) => {
    console.log(type, data)
    left -= 1
    if (left === 0) finish()
  }
  await bus.consumer('billing').on(AvroPlaced, print).on(ProtobufPlaced, print).start()
  const producer = bus.producer()
  await producer.send(AvroPlaced, { orderId: 'o-1', total: 42, note: null })
  const signature = Buffer.of(0, 255)
  await producer.send(ProtobufPlaced, { orderId: 'o-2', total: 7, customer: '9007199254740993', signature })
  await finished
} finally {
  await bus.close()
  await registry.close()
}
