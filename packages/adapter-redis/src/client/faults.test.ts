import { once } from 'node:events'
import { createServer } from 'node:net'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { causeOf, connectionClosed, faultOf, isTlsFault, saysOnlyClosed } from './faults.ts'

/** With a client as the adapter makes them, at a server that answers each command with this, or hangs up. */
async function withServer<Value>(answer: string, use: (client: Redis) => Promise<Value>): Promise<Value> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', () => (answer === '' ? socket.destroy() : socket.write(answer)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const client = new Redis({
    host: '127.0.0.1',
    port,
    lazyConnect: true,
    retryStrategy: () => null,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    disableClientInfo: true,
    protocol: 2,
  })
  client.on('error', () => undefined)
  try {
    return await use(client)
  } finally {
    client.disconnect()
    server.close()
  }
}

const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )

test('an error reply of the server is told with its text', async () => {
  const thrown = await withServer('-OOM command not allowed\r\n', async (client) => {
    await client.connect()
    return failureOf(client.call('SET', 'a', 'b'))
  })
  expect(thrown).toBeInstanceOf(Error)
  expect(faultOf(causeOf(thrown))).toEqual({ kind: 'refused', reply: 'OOM command not allowed' })
})

test('a command that no connection takes was not sent', async () => {
  const thrown = await withServer('+OK\r\n', (client) => failureOf(client.call('SET', 'a', 'b')))
  expect(faultOf(causeOf(thrown))).toEqual({ kind: 'not-sent' })
})

test('a connection that is cut says no more than that', async () => {
  const thrown = await withServer('', async (client) => {
    await client.connect()
    return failureOf(client.call('SET', 'a', 'b'))
  })
  expect(faultOf(causeOf(thrown))).toEqual({ kind: 'disconnected' })
  expect(saysOnlyClosed(causeOf(thrown))).toBe(true)
  expect(saysOnlyClosed(connectionClosed())).toBe(true)
})

test('of a cluster the error of its last node counts', () => {
  const cause = new Error('connect ECONNREFUSED')
  expect(causeOf(Object.assign(new Error('Failed to refresh slots cache.'), { lastNodeError: cause }))).toBe(
    cause,
  )
})

test('a handshake that fails is told from a server that is not there', () => {
  expect(isTlsFault(new Error('self-signed certificate'))).toBe(true)
  expect(isTlsFault(new Error('connect ECONNREFUSED 127.0.0.1:6379'))).toBe(false)
})
