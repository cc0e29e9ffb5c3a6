import assert from 'node:assert/strict'
import { ConfigurationError, connect, defineMessage, defineTopic, InvalidMessageError } from '@waybill/core'
import { z } from 'zod'
import type { Case } from '../case/case.ts'
import { spyAdapter } from '../case/spy-adapter.ts'

const utf8 = new TextEncoder()

/** Everything wrong with options of ours is reported at once, each problem with its path. */
async function assertIssues(what: string, call: () => unknown, paths: readonly string[]): Promise<void> {
  const error = await Promise.resolve()
    .then(call)
    .then(
      () => assert.fail(`${what} were accepted`),
      (thrown: unknown) => thrown,
    )
  assert.ok(error instanceof ConfigurationError, `${what}: ${String(error)}`)
  assert.deepEqual(error.issues.map(({ path }) => path).sort(), [...paths].sort(), what)
  for (const path of paths) assert.ok(error.message.includes(path), `the message does not name ${path}`)
}

export const badInput: readonly Case[] = [
  {
    number: 88,
    part: 'a',
    title:
      'A body that is not a CloudEvents event becomes one dead letter; no handler sees it, and the next message is handled',
    needs: ['publishRaw'],
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder, { concurrency: 1, prefetch: 1 })
      const structured = 'application/cloudevents+json'
      const foreign = [
        { body: Uint8Array.of(0xff, 0xfe, 0x00, 0x80), contentType: structured },
        { body: utf8.encode('{"truncated": '), contentType: structured },
        { body: utf8.encode('[]'), contentType: structured },
        { body: utf8.encode('{"orderId": "o-1"}'), contentType: 'application/json' },
        { body: utf8.encode('<order/>'), contentType: 'text/xml' },
        { body: new Uint8Array(0), contentType: undefined },
      ]
      for (const each of foreign) {
        await context.publishRaw(stage.topic, { ...each, type: 'number.sent', headers: {} })
      }
      const control = await stage.sendOne()
      await context.exactly(recorder, [control])
      await context.eventually(
        'all are dead letters',
        async () => (await stage.deadLetters()).length >= foreign.length,
      )
      const letters = await stage.deadLetters()
      assert.deepEqual(
        letters.map(({ reason }) => reason),
        foreign.map(() => 'undecodable'),
      )
      assert.deepEqual(
        letters.map(({ body }) => Buffer.from(body).toString('hex')).sort(),
        foreign.map(({ body }) => Buffer.from(body).toString('hex')).sort(),
      )
    },
  },
  {
    number: 88,
    part: 'b',
    title: 'Data that does not fit the schema, or is of a version nobody can read, is one dead letter each',
    async run(context) {
      const stage = await context.stage()
      const lax = (version: number) =>
        defineMessage(stage.topic, 'order.created', { version, schema: z.record(z.string(), z.unknown()) })
      const strict = defineMessage(stage.topic, 'order.created', {
        version: 3,
        schema: z.object({ total: z.number(), currency: z.string() }),
        upcast: { 2: (old) => ({ ...old, currency: 'EUR' }) },
      })
      const recorder = context.recorder()
      await stage.bus.consumer(stage.group, { concurrency: 1 }).on(strict, recorder.handler()).start()
      const expected = {
        'invalid-data': await stage.producer.send(lax(3), { total: 'a lot', currency: 'EUR' }),
        'unknown-version': await stage.producer.send(lax(1), { total: 1 }),
      }
      const fromTheFuture = await stage.producer.send(lax(4), { total: 1, currency: 'EUR' })
      const upcast = await stage.producer.send(lax(2), { total: 42 })
      await context.exactly(recorder, [upcast])
      assert.deepEqual(recorder.deliveries[0]?.message.data, { total: 42, currency: 'EUR' })
      assert.equal(recorder.deliveries[0]?.message.version, 3)
      await context.eventually('three are dead letters', async () => (await stage.deadLetters()).length >= 3)
      const reasons = new Map((await stage.deadLetters()).map(({ message, reason }) => [message?.id, reason]))
      assert.equal(reasons.size, 3)
      for (const [reason, { id }] of Object.entries(expected)) assert.equal(reasons.get(id), reason)
      assert.equal(reasons.get(fromTheFuture.id), 'unknown-version')
    },
  },
  {
    number: 89,
    title: 'Invalid data is refused at send with every issue of its schema, and nothing goes over the wire',
    async run(context) {
      const { adapter, published } = spyAdapter(context.harness.adapter)
      const stage = await context.stage({ connect: { adapter } })
      const order = defineMessage(stage.topic, 'order.created', {
        schema: z.object({ orderId: z.string().min(1), total: z.number().positive() }),
      })
      const recorder = context.recorder()
      await stage.bus.consumer(stage.group).on(order, recorder.handler()).start()
      const invalid = { orderId: '', total: -1 }
      const refused = [
        () => stage.producer.send(order, invalid),
        () => stage.producer.sendBatch(order, [{ orderId: 'o-1', total: 1 }, invalid]),
      ]
      for (const call of refused) {
        const error = await call().catch((thrown: unknown) => thrown)
        assert.ok(error instanceof InvalidMessageError, String(error))
        assert.equal(error.fate, 'not-sent')
        const paths = error.issues.map(({ path }) => path)
        for (const name of ['orderId', 'total']) {
          assert.ok(
            paths.some((path) => path.endsWith(name)),
            `${name} is not among ${paths.join(', ')}`,
          )
        }
      }
      const control = await stage.producer.send(order, { orderId: 'o-2', total: 2 })
      await context.exactly(recorder, [control])
      assert.deepEqual(
        published.map(({ id }) => id),
        [control.id],
      )
    },
  },
  {
    number: 90,
    title: 'Wrong options are refused in one error that lists every problem with its path',
    async run(context) {
      const { adapter } = context.harness
      const wrong: object = { url: '', adapter, provision: 'maybe', timeout: 'soon', unknown: true }
      await assertIssues('connect options', () => Reflect.apply(connect, undefined, [wrong]), [
        'url',
        'provision',
        'timeout',
        '',
      ])
      await assertIssues(
        'native options',
        () => context.bus({ native: { [adapter.name]: { nonsense: 1 } } }),
        [`native.${adapter.name}`],
      )
      const { bus, producer, message } = await context.stage()
      await assertIssues(
        'consumer options',
        () => bus.consumer('no name!', { concurrency: 0, retry: { attempts: -1 } }),
        ['group', 'concurrency', 'retry.attempts'],
      )
      await assertIssues('producer options', () => bus.producer({ source: '', maxInFlightBytes: 0 }), [
        'source',
        'maxInFlightBytes',
      ])
      await assertIssues('topic options', () => defineTopic('-', { partitions: 0, groups: [''] }), [
        'name',
        'partitions',
        'groups.0',
      ])
      const error = await producer
        .send(message, { n: 1 }, { priority: 10, expiresIn: -1 })
        .catch((thrown: unknown) => thrown)
      assert.ok(error instanceof InvalidMessageError, String(error))
      assert.deepEqual(error.issues.map(({ path }) => path).sort(), ['options.expiresIn', 'options.priority'])
    },
  },
]
