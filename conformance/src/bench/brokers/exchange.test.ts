import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { exchange } from './exchange.ts'

const servers: ReturnType<typeof createServer>[] = []

afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

async function listen(onConnection: (socket: Socket) => void): Promise<number> {
  const server = createServer(onConnection).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

describe('exchange', () => {
  it('gives the first bytes of the answer', async () => {
    const port = await listen((socket) => socket.once('data', () => socket.end('+PONG')))
    await expect(exchange('127.0.0.1', port, Buffer.from('PING'))).resolves.toEqual(Buffer.from('+PONG'))
  })

  it('fails when the port is open but the connection is closed without an answer', async () => {
    const port = await listen((socket) => socket.end())
    await expect(exchange('127.0.0.1', port, Buffer.from('PING'))).rejects.toThrow('closed without an answer')
  })
})
