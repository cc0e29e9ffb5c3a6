// Consumes, and enters each message into the ledger by the inbox, until it is killed.
import { adapter } from '@waybill/adapter-rabbitmq'
import { connect, defineTopic, fixed } from '@waybill/core'
import { postgres } from '@waybill/postgres'
import { z } from 'zod'
import { entryOf, Ledger } from './ledger.ts'

const { url, schema, busUrl, topic, group } = z
  .object({ url: z.string(), schema: z.string(), busUrl: z.string(), topic: z.string(), group: z.string() })
  .parse(JSON.parse(process.argv[2] ?? 'null'))

const database = postgres({ url, schema })
const ledger = new Ledger(database)
const inbox = database.inbox()
const bus = await connect({ url: busUrl, adapter, console: false, timeout: 'forever' })
await bus
  .consumer(group, { concurrency: 8, maxDeliveries: 1000, retry: { attempts: 1000, backoff: fixed(50) } })
  .on(entryOf(defineTopic(topic, { groups: [group] })), async ({ data }, context) => {
    await inbox.once(context, (transaction) => ledger.enter(transaction, data))
  })
  .start()
process.stdout.write('ready\n')
