import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { resetConnection } from './reset-connection.ts'

async function connected(): Promise<{ near: Socket; far: Socket; close(): void }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve))
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('expected a port')
  const near = connect(address.port, '127.0.0.1')
  const far = await accepted
  return { near, far, close: () => server.close() }
}

test('the other side sees a reset', async () => {
  const { near, far, close } = await connected()
  const failed = once(far, 'error')
  resetConnection(near)
  expect(await failed).toMatchObject([{ code: 'ECONNRESET' }])
  close()
})

test('a connection that is just being ended is closed without an error', async () => {
  const { near, far, close } = await connected()
  const errors: Error[] = []
  near.on('error', (error) => errors.push(error))
  far.on('error', () => undefined).resume()
  const closed = once(near, 'close')
  near.end()
  resetConnection(near)
  await closed
  expect(errors).toEqual([])
  far.destroy()
  close()
})
