import assert from 'node:assert/strict'
import type { Case } from '../../case/case.ts'
import { gatewayOf, openGateway, type Surroundings } from './surroundings.ts'

export function requests(surroundings: Surroundings): readonly Case[] {
  return [
    {
      number: 461,
      alone: true,
      title: 'A thousand messages with handlers of 100 ms take no more than 300 requests to consume',
      timeoutMs: 120_000,
      async run(context) {
        const gateway = await openGateway(context, surroundings)
        const stage = await context.stage({ connect: gatewayOf(context, gateway.url) })
        const count = 1000
        const sent = await stage.send(count)
        const before = gateway.requests.length
        const recorder = context.recorder()
        const startedAt = performance.now()
        await stage.consume(recorder, { concurrency: 20 }, () => new Promise((done) => setTimeout(done, 100)))
        await context.exactly(recorder, sent)
        const tookMs = (recorder.deliveries.at(-1)?.endedAt ?? 0) - startedAt
        const spent = gateway.requests.length - before
        const kinds = ['ReceiveMessage', 'DeleteMessageBatch', 'ChangeMessageVisibilityBatch']
        const each = kinds.map((kind) => `${kind} ${gateway.countOf(kind)}`).join(', ')
        assert.ok(spent <= 300, `${spent} requests (${each})`)
        // Fifty rounds of 100 ms, and 15 % for gathering, beside what a busy machine takes.
        assert.ok(tookMs <= 5000 * 1.15 + 3 * context.slackMs, `took ${Math.round(tookMs)} ms`)
      },
    },
    {
      number: 462,
      title: 'An idle consumer makes one request each time its wait for messages is over, and no other',
      async run(context) {
        const gateway = await openGateway(context, surroundings)
        const stage = await context.stage({ connect: gatewayOf(context, gateway.url) })
        const recorder = context.recorder()
        await stage.consume(recorder, { concurrency: 20 })
        await context.exactly(recorder, [await stage.sendOne()])
        await context.eventually('it is idle', () => gateway.requests.at(-1)?.action === 'ReceiveMessage')
        const before = gateway.requests.length
        const startedAt = performance.now()
        await context.eventually('it has polled again', () => gateway.requests.length >= before + 4)
        // The harness waits a second at a time.
        assert.ok(performance.now() - startedAt >= 2900)
        assert.deepEqual(
          new Set(gateway.requests.slice(before).map(({ action }) => action)),
          new Set(['ReceiveMessage']),
        )
      },
    },
  ]
}
