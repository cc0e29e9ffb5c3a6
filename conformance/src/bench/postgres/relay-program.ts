// Relays an outbox, until it is killed.
import { adapter as kafka } from '@waybill/adapter-kafka'
import { adapter as rabbitmq } from '@waybill/adapter-rabbitmq'
import { connect } from '@waybill/core'
import { postgres } from '@waybill/postgres'
import { z } from 'zod'
import { dyingPool, moments } from './dying-pool.ts'

const { url, schema, busUrl, moment, n } = z
  .object({
    url: z.string(),
    schema: z.string(),
    busUrl: z.string(),
    moment: z.enum(moments).optional(),
    n: z.int().default(0),
  })
  .parse(JSON.parse(process.argv[2] ?? 'null'))

const database = postgres({ pool: dyingPool(url, moment, n), schema })
const adapter = busUrl.startsWith('kafka:') ? kafka : rabbitmq
const bus = await connect({ url: busUrl, adapter, console: false, timeout: 'forever' })
const relay = database.outbox().relay(bus, { lease: '1s', batchSize: 50 })
await relay.start()
process.stdout.write('ready\n')
