import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { connect, defineMessage, defineTopic } from '@waybill/core'
import { claimCheck, compress, encrypt } from '@waybill/core/stages'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { startS3 } from './s3-server.fixture.ts'
import { s3Store } from './s3-store.ts'

const bucket = 'shop-bodies'
const id = '2026-11-29/0199f3a2-0000-4000-8000-00000000000a'

let directory: string
let server: Awaited<ReturnType<typeof startS3>>
let client: S3Client
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waybill-s3-'))
  server = await startS3(directory, bucket)
  client = new S3Client(server.clientOptions)
})
afterAll(async () => {
  client.destroy()
  await server.close()
  await rm(directory, { recursive: true })
})

const make = (options: object = {}) => s3Store({ bucket, client, ...options })
const keys = async () => {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }))
  return Contents.map(({ Key }) => Key)
}

describe('an S3 store', () => {
  test.each([1, 100_000, 10_000_000])('keeps, gives and removes %d bytes', async (bytes) => {
    const store = make()
    const body = randomBytes(bytes)
    await store.put(id, body)
    expect(await keys()).toEqual([`waybill/${id}`])
    expect(Buffer.compare((await store.get(id)) ?? Buffer.of(), body)).toBe(0)
    await store.remove(id)
    await store.remove(id)
    expect(await store.get(id)).toBeUndefined()
    expect(await keys()).toEqual([])
  })

  test('makes a client of options, and keeps to its prefix', async () => {
    const store = s3Store({ bucket, prefix: 'a/b-', clientOptions: server.clientOptions })
    await store.put(id, Buffer.from('1'))
    expect(await make().get(id)).toBeUndefined()
    expect(await keys()).toEqual([`a/b-${id}`])
    await store.remove(id)
  })

  test('carries many at once', async () => {
    const store = make()
    const ids = Array.from({ length: 50 }, (_, index) => `2026-11-29/${index}`)
    await Promise.all(ids.map((each) => store.put(each, Buffer.from(each))))
    expect(
      await Promise.all(ids.map(async (each) => Buffer.from((await store.get(each)) ?? []).toString())),
    ).toEqual(ids)
    // One by one: this server has no answer to removals from one directory at the same moment.
    for (const each of ids) await store.remove(each)
    expect(await keys()).toEqual([])
  })

  test.each(['', '../x', '2026-11-29/../x', '2026-11-29/a/b', '/x', 'x', '2026-11-29/.x'])(
    'refuses the id %j',
    async (wrong) => {
      const store = make()
      for (const call of [store.put(wrong, Buffer.of(1)), store.get(wrong), store.remove(wrong)])
        await expect(call).rejects.toThrow('is no id of a claim')
    },
  )

  test('says that a bucket is missing, which may be made', async () => {
    const store = make({ bucket: 'another-bucket' })
    const expected = { code: 'topology-missing', retryable: true, fate: 'not-sent' }
    await expect(store.get(id)).rejects.toMatchObject(expected)
    await expect(store.put(id, Buffer.of(1))).rejects.toMatchObject(expected)
  })

  test('says that credentials are wrong, which may be mended, and what it takes', async () => {
    const credentials = { accessKeyId: 'someone', secretAccessKey: 'else' }
    const store = s3Store({ bucket, clientOptions: { ...server.clientOptions, credentials } })
    await expect(store.get(id)).rejects.toMatchObject({
      ...{ code: 'access-denied', retryable: true, message: expect.stringContaining('s3:ListBucket') },
    })
  })

  test('can be tried again when nothing answers', async () => {
    const closed = { ...server.clientOptions, endpoint: 'http://127.0.0.1:1' }
    const store = s3Store({ bucket, clientOptions: closed })
    await expect(store.get(id)).rejects.toMatchObject({ code: 'disconnected', retryable: true })
  })

  test('gives up on a server that says nothing', async () => {
    const silent = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => silent.once('listening', resolve))
    const address = silent.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const endpoint = `http://127.0.0.1:${port}`
    const store = s3Store({
      bucket,
      clientOptions: { ...server.clientOptions, endpoint },
      requestTimeout: 100,
    })
    await expect(store.get(id)).rejects.toMatchObject({ code: 'timeout', retryable: true })
    silent.close()
  })

  test('names all wrong options', () => {
    expect(() => s3Store({ bucket: 'A B', prefix: '/x', client, clientOptions: {} })).toThrow(
      /bucket: .*\n.*prefix: /,
    )
    expect(() => s3Store({ bucket, client, clientOptions: {} })).toThrow(
      'clientOptions: is for the client that is made',
    )
    expect(() => s3Store({ bucket, prefix: 'a/../b' })).toThrow('prefix')
    expect(() => s3Store({ bucket, region: 'eu-west-1' } as never)).toThrow('region')
    expect(() => s3Store(undefined as never)).toThrow()
  })
})

test('a message of 3 MB travels as a claim, encrypted, and leaves nothing in the bucket', async () => {
  const stages = [
    compress(),
    encrypt({ keys: { a: randomBytes(32) }, use: 'a' }),
    claimCheck({ store: make(), remove: 'when-done' }),
  ]
  await using bus = await connect({ url: 'memory:', console: false, stages })
  const topic = defineTopic('orders', { groups: ['billing', 'shipping'] })
  const Placed = defineMessage(topic, 'order.placed', { schema: z.object({ text: z.string() }) })
  const data = { text: randomBytes(1_500_000).toString('hex') }
  const got: unknown[] = []
  const until = async (met: () => Promise<boolean>) => {
    for (let tries = 0; !(await met()); tries += 1) {
      if (tries > 1000) throw new Error(`Not in time: ${await keys()}`)
      await setTimeout(5)
    }
  }
  const consume = (group: 'billing' | 'shipping') =>
    bus
      .consumer(group)
      .on(Placed, (message) => void got.push(message.data))
      .start()
  await bus.producer().send(Placed, data)
  expect(await keys()).toHaveLength(1)
  await consume('billing')
  await until(async () => (await keys()).some((key) => key?.endsWith('.done-0')))
  await consume('shipping')
  await until(async () => (await keys()).length === 0)
  expect(got).toEqual([data, data])
})
