import { once } from 'node:events'
import { createRequire } from 'node:module'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { mendConnection } from './connection-faults.ts'
import type { ConnectionInside } from './insides.ts'

const KafkaConnection: new (options: object) => ConnectionInside = createRequire(import.meta.url)(
  'kafkajs/src/network/connection.js',
)

const silent = { namespace: () => silent, debug() {}, info() {}, warn() {}, error() {} }

/** A connection of kafkajs, mended, and what its server sees of it. */
async function mended(connectionTimeout: number) {
  const server = createServer()
  const sockets: Socket[] = []
  server.on('connection', (socket) => sockets.push(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const connection = new KafkaConnection({
    host: '127.0.0.1',
    port,
    logger: silent,
    requestTimeout: 1000,
    connectionTimeout,
    socketFactory: ({ host, onConnect }: { host: string; onConnect: () => void }) =>
      connect({ host, port }, onConnect),
  })
  mendConnection(connection)
  return { connection, sockets }
}

test('a connection that is made again begins with nothing of the one before', async () => {
  const { connection, sockets } = await mended(1000)
  await connection.connect()
  await expect.poll(() => sockets.length).toBe(1)
  // The length of a response, and its first two bytes.
  sockets[0]?.write(Buffer.from([0, 0, 0, 100, 1, 2]))
  await expect.poll(() => connection.bytesNeeded).toBe(104)
  sockets[0]?.destroy()
  await expect.poll(() => connection.connectionStatus).toBe('disconnected')
  const old = connection.socket
  await connection.connect()
  expect(connection).toMatchObject({ chunks: [], bytesBuffered: 0, bytesNeeded: 4 })
  expect(old?.destroyed).toBe(true)
  connection.socket?.destroy()
})

test('who asks while it connects gets the same connection, which no timer of another ends', async () => {
  const { connection, sockets } = await mended(100)
  await Promise.all([connection.connect(), connection.connect()])
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(connection.connectionStatus).toBe('connected')
  expect(sockets).toHaveLength(1)
  connection.socket?.destroy()
})
