// A bridge, until it is killed, or told to end by SIGTERM.
import { openBridge } from '@waybill/bridge'
import { z } from 'zod'
import { bridgeEnd } from './ends.ts'

const end = z.object({
  name: z.enum(['kafka', 'rabbitmq', 'redis', 'sqs']),
  url: z.string(),
  native: z.record(z.string(), z.unknown()),
})
const { from, to, ...options } = z
  .object({ from: end, to: end, topics: z.array(z.string()), lease: z.string() })
  .parse(JSON.parse(process.argv[2] ?? 'null'))

const bridge = await openBridge({
  from: bridgeEnd(from),
  to: bridgeEnd(to),
  topics: options.topics,
  lease: options.lease as '2s',
  on: { failure: ({ what, error }) => console.error(what, error.message) },
})
process.once('SIGTERM', () => void bridge.close({ timeout: '5s' }))
process.stdout.write('ready\n')
