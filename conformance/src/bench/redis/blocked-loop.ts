import assert from 'node:assert/strict'
import type { Case } from '../../case/case.ts'

/** What becomes of handlers that compute for longer than their leases last. */
export const blockedLoop: readonly Case[] = [
  {
    number: 217,
    title: 'Handlers that block the event loop for longer than their leases finish each message once',
    requires: ['lease'],
    needs: ['processes'],
    timeoutMs: 180_000,
    async run(context) {
      const stage = await context.stage()
      const sent = await stage.send(7)
      const lease = context.pace(1000)
      const child = context.child('consumer-program', {
        topic: stage.topic,
        group: stage.group,
        options: { concurrency: 4, lease },
        behaviour: { kind: 'block', durationMs: 2.5 * lease },
      })
      const runs = () => child.of('delivered').map(({ id }) => id)
      const withinMs = 20 * lease + context.pace(60_000)
      await context.eventually('all are handled', () => new Set(runs()).size === sent.length, withinMs)
      // What is not settled would come again to whoever is there next.
      await context.quiet(2 * lease + context.capabilities.redeliveryMs + context.pace(5000))
      assert.ok(runs().length <= sent.length + 4, `${runs().length} runs of ${sent.length} messages`)
      await child.kill()
      const recorder = context.recorder()
      await stage.consume(recorder)
      await context.exactly(recorder, [await stage.sendOne()])
    },
  },
]
