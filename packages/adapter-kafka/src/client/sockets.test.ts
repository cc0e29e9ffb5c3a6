import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { Sockets } from './sockets.ts'

async function listening(): Promise<number> {
  const server = createServer((socket) => socket.on('error', () => {}))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

function block(durationMs: number): void {
  for (const until = performance.now() + durationMs; performance.now() < until; );
}

test('an event loop that is blocked for longer than the timeout does not make a connection fail', async () => {
  const sockets = new Sockets(50)
  onTestFinished(() => sockets.close())
  let isConnected = false
  const onConnect = () => {
    isConnected = true
  }
  const socket = sockets.factory({
    host: '127.0.0.1',
    port: await listening(),
    onConnect,
    ssl: undefined as never,
  })
  const failed: Error[] = []
  socket.on('error', (error) => failed.push(error))
  block(200)
  await expect.poll(() => isConnected).toBe(true)
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(failed).toEqual([])
})

test('a connection that is not made within the timeout fails, and says to whom', async () => {
  const sockets = new Sockets(50)
  onTestFinished(() => sockets.close())
  // TLS with a port that says nothing is never done.
  const port = await listening()
  const socket = sockets.factory({ host: '127.0.0.1', port, onConnect: () => {}, ssl: {} })
  const [error] = await once(socket, 'error')
  expect(error).toMatchObject({ message: `127.0.0.1:${port} did not answer in time` })
})
