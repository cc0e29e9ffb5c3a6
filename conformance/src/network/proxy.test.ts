import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { createProxy, type TcpProxy } from './proxy.ts'

const cleanUps: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

/** An echo server behind a proxy. */
async function echoBehindProxy(): Promise<{ proxy: TcpProxy; serverSockets: Socket[] }> {
  const serverSockets: Socket[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    serverSockets.push(socket)
    socket.on('error', () => undefined)
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const proxy = await createProxy({ target: { host: '127.0.0.1', port: address.port } })
  cleanUps.push(
    () => server.close(),
    () => proxy.close(),
  )
  return { proxy, serverSockets }
}

async function open(
  proxy: TcpProxy,
): Promise<{ socket: Socket; received: () => string; error: () => string }> {
  const socket = connect({ host: proxy.host, port: proxy.port, allowHalfOpen: true })
  let text = ''
  let code = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  socket.on('error', (error) => {
    code = 'code' in error ? String(error.code) : error.message
  })
  cleanUps.push(() => socket.destroy())
  await new Promise<void>((resolve) => socket.once('connect', resolve).once('close', () => resolve()))
  return { socket, received: () => text, error: () => code }
}

describe('createProxy', () => {
  it('forwards both ways and counts connections and bytes', async () => {
    const { proxy } = await echoBehindProxy()
    const client = await open(proxy)
    client.socket.write('hello')
    await expect.poll(client.received).toBe('hello')
    expect(proxy.connections).toBe(1)
    expect(proxy.bytes).toEqual({ fromClients: 5, fromTarget: 5 })
    client.socket.end()
    await expect.poll(() => proxy.connections).toBe(0)
    expect(proxy.accepted).toBe(1)
  })

  it('passes a half-close on, and what is answered after it', async () => {
    const { proxy } = await echoBehindProxy()
    const client = await open(proxy)
    client.socket.end('last words')
    await once(client.socket, 'end')
    expect(client.received()).toBe('last words')
  })

  it('carries megabytes through unharmed', async () => {
    const { proxy } = await echoBehindProxy()
    const client = await open(proxy)
    const sent = 'x'.repeat(8 * 1024 * 1024)
    client.socket.write(sent)
    await expect.poll(() => client.received().length, { timeout: 5_000 }).toBe(sent.length)
  })

  it('resets both sides, and accepts again', async () => {
    const { proxy, serverSockets } = await echoBehindProxy()
    const client = await open(proxy)
    client.socket.write('x')
    await expect.poll(client.received).toBe('x')
    proxy.reset()
    await expect.poll(client.error).toBe('ECONNRESET')
    await expect.poll(() => serverSockets[0]?.destroyed).toBe(true)
    expect(proxy.connections).toBe(0)
    const next = await open(proxy)
    next.socket.write('again')
    await expect.poll(next.received).toBe('again')
  })

  it('is silent while black-holed, on old and new connections, and delivers all of it when healed', async () => {
    const { proxy } = await echoBehindProxy()
    const early = await open(proxy)
    proxy.blackhole()
    const late = await open(proxy)
    early.socket.write('early')
    late.socket.write('late')
    await sleep(50)
    expect([early.received(), late.received()]).toEqual(['', ''])
    expect([early.error(), late.error()]).toEqual(['', ''])
    expect(proxy.connections).toBe(2)
    proxy.heal()
    await expect.poll(early.received).toBe('early')
    await expect.poll(late.received).toBe('late')
  })

  it('delays each direction', async () => {
    const { proxy } = await echoBehindProxy()
    const client = await open(proxy)
    proxy.delay(30)
    const startedAt = performance.now()
    client.socket.write('slow')
    await expect.poll(client.received, { interval: 2 }).toBe('slow')
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(60)
  })

  it('refuses new connections and leaves open ones alone', async () => {
    const { proxy } = await echoBehindProxy()
    const old = await open(proxy)
    proxy.refuse()
    const refused = await open(proxy)
    expect(refused.error()).toBe('ECONNREFUSED')
    old.socket.write('still here')
    await expect.poll(old.received).toBe('still here')
    const { port } = proxy
    await proxy.accept()
    expect(proxy.port).toBe(port)
    const next = await open(proxy)
    next.socket.write('back')
    await expect.poll(next.received).toBe('back')
  })

  it('cuts the client when the target cannot be reached', async () => {
    const proxy = await createProxy({ target: { host: '127.0.0.1', port: 1 } })
    cleanUps.push(() => proxy.close())
    const client = await open(proxy)
    await expect.poll(() => client.socket.destroyed).toBe(true)
    expect(proxy.connections).toBe(0)
  })

  it('closes twice without harm and does not come back', async () => {
    const { proxy } = await echoBehindProxy()
    await proxy.close()
    await proxy.close()
    await proxy.accept()
    expect((await open(proxy)).error()).toBe('ECONNREFUSED')
  })
})
