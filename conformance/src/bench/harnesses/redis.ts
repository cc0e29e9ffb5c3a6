import { crc32 } from 'node:zlib'
import { adapter, type RedisOptions } from '@waybill/adapter-redis'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import type { Harness, RawMessage } from '../../harness.ts'
import { type BrokerName, type RunningBroker, startBroker } from '../brokers/index.ts'
import { base, sources, streams } from '../redis/keys.ts'
import { plainly as usePlainly } from '../redis/plain-client.ts'
import { atBroker } from './at-broker.ts'
import { wrongConnections } from './wrong-connections.ts'

// A connection that says nothing counts as lost sooner than by default: soon enough for a test.
const options: RedisOptions = { requestTimeout: '3s', connectTimeout: '3s' }

const lines = z.array(z.tuple([z.string(), z.array(z.instanceof(Buffer))]))
const pending = z.tuple([z.number()]).rest(z.unknown())

export interface OpenServer {
  readonly harness: Harness
  readonly broker: RunningBroker
  close(): Promise<void>
}

export function open(): Promise<OpenServer> {
  return openServer('redis')
}

/** Redis, or a server that speaks like it. */
export async function openServer(name: Extract<BrokerName, 'redis' | 'valkey'>): Promise<OpenServer> {
  // With `everysec` the server may answer before it has written: while a sync is under way it puts the writing off for up to
  // two seconds (redis.conf, `appendfsync`), and a SIGKILL in that time loses what was confirmed.
  const broker = await startBroker(name, { configuration: { appendfsync: 'always' } })

  const plainly = <Value>(use: (client: Redis) => Promise<Value>) => usePlainly(broker.url, use)

  const makePowerless = (user: string, password: string) =>
    plainly((client) => client.acl('SETUSER', user, 'on', `>${password}`, '+@all', '~nothing:*', '&*'))

  const harness: Harness = {
    name,
    ...atBroker(broker, adapter, options),
    timeScale: 1,
    wrong: await wrongConnections(broker.url, { makePowerless }),
    inspect: {
      publishRaw: (topic, { body, contentType, headers, key }) =>
        plainly(async (client) => {
          const all = { ...headers, ...(key !== undefined && { 'ce-partitionkey': key }) }
          const fields = Object.entries(all).flat()
          if (contentType !== undefined) fields.push('content-type', contentType)
          const stream = topic.ordered
            ? `${base(topic)}:stream:${crc32(key ?? '') % topic.partitions}`
            : `${base(topic)}:stream`
          await client.xadd(stream, '*', ...fields, 'body', Buffer.from(body))
        }),
      mirrorsAttributes: false,
      rawMessages: (topic) =>
        plainly(async (client) => {
          const messages: RawMessage[] = []
          for (const stream of streams(topic)) {
            const entries = lines.parse(
              (await client.xrangeBuffer(stream, '-', '+')).map(([id, fields]) => [id.toString(), fields]),
            )
            for (const [, fields] of entries) messages.push(toRaw(fields))
          }
          return messages
        }),
      unsettled: (topic, group) =>
        plainly(async (client) => {
          let count = 0
          for (const source of sources(topic, group))
            count += pending.parse(await client.xpending(source, group))[0]
          return count
        }),
      breakSubscription: (topic, group) =>
        plainly(async (client) => {
          const connections = await client.hvals(`${base(topic)}:group:${group}:members:connections`)
          for (const id of new Set(connections)) if (id !== '') await client.client('KILL', 'ID', id)
        }),
      async failDeadLetterWrites(topic, group) {
        const key = `${base(topic)}:group:${group}:dead`
        const newest = await plainly(async (client) => {
          if ((await client.exists(key)) === 0) {
            await client.xgroup('CREATE', key, 'aside', '$', 'MKSTREAM')
            await client.xgroup('DESTROY', key, 'aside')
          }
          const [last] = await client.xrevrange(key, '+', '-', 'COUNT', 1)
          // Beyond the last possible id nothing can be appended.
          await client.xsetid(key, `${2n ** 64n - 1n}-${2n ** 64n - 1n}`)
          return last?.[0] ?? '0-1'
        })
        let isHealed = false
        return () =>
          plainly(async (client) => {
            if (!isHealed) await client.xsetid(key, newest)
            isHealed = true
          })
      },
      connectionCount: () =>
        plainly(async (client) => Number(/connected_clients:(\d+)/.exec(await client.info('clients'))?.[1])),
    },
    lowered: { messageBytes: { native: { redis: { maxMessageBytes: 128 * 1024 } } } },
  }
  return { harness, broker, close: () => broker.stop() }
}

function toRaw(fields: readonly Buffer[]): RawMessage {
  let body: Uint8Array = Buffer.alloc(0)
  let contentType: string | undefined
  let headers: Record<string, string> = {}
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at]?.toString() ?? ''
    const value = fields[at + 1] ?? Buffer.alloc(0)
    if (name === 'body') body = value
    else if (name === 'content-type') contentType = value.toString()
    else if (name === 'headers') headers = { ...headers, ...parseTexts(value) }
    else if (name === 'ce') {
      for (const [attribute, text] of Object.entries(parseTexts(value))) headers[`ce-${attribute}`] = text
    } else headers[name] = value.toString()
  }
  return { body, contentType, headers }
}

function parseTexts(json: Buffer): Record<string, string> {
  return z.record(z.string(), z.string()).parse(JSON.parse(json.toString()))
}
