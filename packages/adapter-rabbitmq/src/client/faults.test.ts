import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { connect } from './amqplib.ts'
import { defs } from './amqplib-own.fixture.ts'
import { faultOf, isChannelGone } from './faults.ts'

function amqpError(code: number | string | undefined, message: string): Error {
  return Object.assign(new Error(message), code === undefined ? {} : { code })
}

/** What amqplib throws when whoever listens answers its greeting like this. */
async function greetedWith(answer: (socket: Socket) => void): Promise<unknown> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => answer(socket))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  try {
    await connect({ hostname: '127.0.0.1', ...(port !== undefined && { port }) })
    return undefined
  } catch (thrown) {
    return thrown
  } finally {
    server.close()
  }
}

function thrownBy(act: () => unknown): unknown {
  try {
    return act()
  } catch (thrown) {
    return thrown
  }
}

test('a peer that hangs up, or that speaks something else, is told by amqplib’s text', async () => {
  const hungUp = await greetedWith((socket) => socket.end())
  expect(faultOf(hungUp)).toEqual({ kind: 'hung-up' })
  const notAmqp = await greetedWith((socket) => socket.end(Buffer.from([0x15, 0, 0, 0, 0, 0, 0, 0x15])))
  expect(faultOf(notAmqp)).toEqual({ kind: 'not-amqp' })
  const http = await greetedWith((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  expect(faultOf(http)).toEqual({ kind: 'http' })
  const redis = await greetedWith((socket) => socket.end('-ERR unknown command\r\n'))
  expect(faultOf(redis)).toEqual({ kind: 'other-protocol' })
})

test('headers that AMQP has no room for are told by amqplib’s error', () => {
  const headers = { ['n'.repeat(300)]: 'x' }
  const thrown = thrownBy(() => defs.encodeProperties(defs.BasicProperties, 1, 0, { headers }))
  expect(faultOf(thrown)).toEqual({ kind: 'headers-too-long' })
})

test.each([
  [404, 'Channel closed by server: 404 (NOT-FOUND) with message "…"', 404, false],
  [undefined, 'Handshake terminated by server: 403 (ACCESS-REFUSED) with message "…"', 403, true],
])('the broker’s reply code is found: %s %s', (code, message, replyCode, inHandshake) => {
  expect(faultOf(amqpError(code, message))).toEqual({ kind: 'closed-by-broker', replyCode, inHandshake })
})

test.each([
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'self-signed certificate', 'tls-refused'],
  [undefined, 'Expected ConnectionOpenOk; got <ConnectionClose>', 'virtual-host-refused'],
  [undefined, 'message nacked', 'nacked'],
  ['ECONNREFUSED', 'connect ECONNREFUSED', 'other'],
])('%s %s is %s', (code, message, kind) => {
  expect(faultOf(amqpError(code, message))).toEqual({ kind })
})

test('a channel that is gone is told from one that the broker closed for a reason', () => {
  expect(isChannelGone(new Error('Channel ended, no reply will be forthcoming'))).toBe(true)
  expect(isChannelGone(new Error('Heartbeat timeout'))).toBe(false)
  const closed = Object.assign(new Error('Channel closed'), { name: 'IllegalOperationError' })
  expect(faultOf(closed)).toEqual({ kind: 'channel-closed' })
})
