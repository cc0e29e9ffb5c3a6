import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { GetQueueUrlCommand, SQSClient } from '@aws-sdk/client-sqs'
import { expect, test } from 'vitest'
import { detailOf, errorCodesOf, faultOf } from './faults.ts'

const credentials = { accessKeyId: 'me', secretAccessKey: 'secret' }

/** What the SDK throws at an endpoint that answers like this. */
async function thrownAt(listener: RequestListener): Promise<unknown> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const client = new SQSClient({
    region: 'eu-west-1',
    endpoint: `http://127.0.0.1:${port}`,
    credentials,
    maxAttempts: 1,
  })
  try {
    return await client.send(new GetQueueUrlCommand({ QueueName: 'q' })).catch((thrown: unknown) => thrown)
  } finally {
    client.destroy()
    server.closeAllConnections()
    server.close()
  }
}

test('what the service answers is told by its code and its status', async () => {
  const thrown = await thrownAt((_, response) => {
    response.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' })
    response.end(JSON.stringify({ __type: 'com.amazonaws.sqs#RequestThrottled', message: 'slow down' }))
  })
  const fault = faultOf(thrown)
  expect(fault).toMatchObject({ kind: 'answered', status: 400 })
  expect(errorCodesOf(thrown)).toContain('RequestThrottled')
  expect(detailOf(thrown)).toBe('RequestThrottled: slow down')
})

test('a connection that is reset under way, which the SDK calls a timeout, is told as lost', async () => {
  const cut = await thrownAt((request) => request.socket.destroy())
  expect(cut).toMatchObject({ name: 'TimeoutError' })
  expect(faultOf(cut)).toEqual({ kind: 'connection-lost' })
  expect(detailOf(cut)).toBe('socket hang up')
})

test('a connection that was never made is told as such', async () => {
  const client = new SQSClient({
    region: 'eu-west-1',
    endpoint: 'http://127.0.0.1:1',
    credentials,
    maxAttempts: 1,
  })
  const absent = await client
    .send(new GetQueueUrlCommand({ QueueName: 'q' }))
    .catch((thrown: unknown) => thrown)
  client.destroy()
  expect(faultOf(absent)).toEqual({ kind: 'unreachable' })
})

test('a lost connection and credentials that cannot be had are told as such', () => {
  const named = (name: string) => Object.assign(new Error('why'), { name })
  expect(faultOf(named('CredentialsProviderError'))).toEqual({ kind: 'no-credentials' })
  const aborted = Object.assign(named('Error'), { code: 'ECONNABORTED' })
  expect(faultOf(aborted)).toEqual({ kind: 'connection-lost' })
})
