import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { exponential } from '@waybill/core'
import kafkajs, { type Kafka } from 'kafkajs'
import type { Case } from '../../case/case.ts'
import { numberOf } from '../../fixtures/numbered.ts'
import { alterTopic, produce, untilWritesFail } from './administration.ts'

/** Copies, for retries and dead letters, that the broker does not take. */
export function copyCases(client: Kafka): readonly Case[] {
  return [
    {
      number: 220,
      title:
        'While retries cannot be copied the others are handled, and the retries come in time all the same',
      timeoutMs: 90_000,
      async run(context) {
        const stage = await context.stage()
        const retries = `${stage.topic.name}..${stage.group}..retry`
        // Such a topic takes no records without key.
        await alterTopic(client, retries, { 'cleanup.policy': 'compact' })
        const recorder = context.recorder()
        const failing = new Set<string>()
        const retry = { attempts: 5, backoff: exponential({ initial: context.pace(500) }) }
        await stage.consume(recorder, { concurrency: 20, retry }, (message) => {
          if (numberOf(message) % 2 === 0 && !failing.has(message.id)) {
            failing.add(message.id)
            throw new Error('refused')
          }
        })
        const sent = await stage.sendBatch(400, {}, {})
        const even = sent.filter((message) => numberOf(message) % 2 === 0)
        const odd = sent.filter((message) => numberOf(message) % 2 === 1)
        const startedAt = performance.now()
        await context.eventually('the others are handled', () =>
          odd.every((message) => recorder.of(message).length === 1),
        )
        assert.ok(performance.now() - startedAt < context.pace(5000), 'acks wait behind copies')
        await context.exactly(recorder, [...sent, ...even])
        const { driver } = await stage.bus.health()
        assert.match(JSON.stringify(driver.details), /copies cannot be written/)
      },
    },
    {
      number: 221,
      title:
        'A record that is small only while compressed, or larger than is usual, is retried and dead-lettered',
      timeoutMs: 90_000,
      async run(context) {
        const native = { kafka: { maxMessageBytes: 100_000 } }
        const groups = [context.unique('group')]
        const stage = await context.stage({ connect: { native }, topic: { partitions: 1, groups } })
        const { name } = stage.topic
        await alterTopic(client, name, { 'max.message.bytes': '3000000' })
        const recorder = context.recorder()
        const retry = { attempts: 2, backoff: exponential({ initial: context.pace(100) }) }
        await stage.consume(recorder, { retry, concurrency: 4 }, (message) => {
          if (numberOf(message) === 0) throw new Error('refused')
        })
        const noise = randomBytes(1_000_000).toString('base64')
        const pads = { repeated: 'x'.repeat(2_500_000), noise }
        for (const [id, pad] of Object.entries(pads)) {
          await produce(client, name, {
            compression: kafkajs.CompressionTypes.GZIP,
            messages: [
              {
                key: id,
                value: JSON.stringify({ n: 0, pad }),
                headers: {
                  'content-type': 'application/json',
                  ce_specversion: '1.0',
                  ce_id: id,
                  ce_source: '/elsewhere',
                  ce_type: stage.message.type,
                  ce_dataversion: '1',
                },
              },
            ],
          })
        }
        const neighbours = await stage.sendBatch(10, {}, {})
        const twice = Object.keys(pads).flatMap((id) => [{ id }, { id }])
        await context.exactly(recorder, [...neighbours, ...twice])
        await context.eventually(
          'both are dead letters',
          async () => (await stage.deadLetters()).length === 2,
        )
        for (const letter of await stage.deadLetters()) {
          assert.ok(letter.body.byteLength > 1_000_000, 'a letter lost its body')
        }
      },
    },
    {
      number: 222,
      title:
        'While dead letters cannot be written, however many, the others are handled; then all are written',
      timeoutMs: 120_000,
      async run(context) {
        const stage = await context.stage()
        const letters = `${stage.topic.name}..${stage.group}..dead`
        const config = { 'cleanup.policy': 'compact' }
        await alterTopic(client, letters, { ...config, 'max.message.bytes': '1' })
        await untilWritesFail(client, letters)
        const recorder = context.recorder()
        await stage.consume(recorder, { concurrency: 5, retry: { attempts: 1 } }, (message) => {
          if (numberOf(message) <= 50) throw new Error('refused')
        })
        await stage.sendBatch(50, {}, {})
        const others = await stage.sendBatch(50, {}, {})
        await context.eventually('the others are handled', () =>
          others.every((message) => recorder.of(message).length > 0),
        )
        assert.equal((await stage.deadLetters()).length, 0)
        await alterTopic(client, letters, config)
        await context.eventually(
          'all are dead letters',
          async () => (await stage.deadLetters()).length === 50,
          60_000,
        )
      },
    },
  ]
}
