import assert from 'node:assert/strict'
import { defineMessage, defineTopic } from '@waybill/core'
import { z } from 'zod'
import type { Case } from '../../case/case.ts'
import { expectCode, expectRefusal } from '../cli/expect.ts'
import { BridgeCommands } from './bridge-command.ts'
import { connectTo, type EndName, type Ends } from './ends.ts'

const schema = z.object({ n: z.number() })
const count = 4000

/** What it has in hand is the next one's at once, as it would not be after a death. */
export function commandEnds(ends: Ends, from: EndName, to: EndName): Case {
  return {
    number: 227,
    title:
      'waybill bridge that is told to end in the middle gives back what it has in hand, and the next one brings the rest',
    timeoutMs: 300_000,
    async run(context) {
      const topic = defineTopic(context.unique('halfway'), { groups: ['all'] })
      const Sent = defineMessage(topic, 'halfway.sent', { schema })
      const source = await connectTo(context, ends[from], { topics: [topic] })
      const target = await connectTo(context, ends[to], { topics: [topic] })
      const got = new Set<number>()
      await target
        .consumer('all')
        .on(Sent, ({ data }) => void got.add(data.n))
        .start()
      await source.producer().sendBatch(
        Sent,
        Array.from({ length: count }, (_, n) => ({ n })),
      )
      const commands = await BridgeCommands.between(context, ends[from], ends[to])
      const own = source.group(topic, 'bridge', { allowUndeclaredGroup: true })
      for (const [signal, code] of [
        ['SIGTERM', 143],
        ['SIGINT', 130],
      ] as const) {
        const before = got.size
        const command = commands.start([
          topic.name,
          '--from-beginning',
          '--concurrency',
          '5',
          '--lease',
          '10m',
        ])
        await command.ready
        await context.eventually('some have arrived', () => got.size > before, 60_000)
        assert.equal(await command.end(signal), code)
        const { inFlight, waiting } = await own.stats()
        assert.equal(inFlight, 0, 'it has kept messages in hand')
        assert.notEqual(waiting, 0, 'it had moved all before it was told to end')
      }
      const last = await commands.run([topic.name, '--once', '--quiet', '500ms'])
      expectCode(last, 0)
      const [row] = last.rows()
      assert.deepEqual([row?.topic, row?.refused, row?.lag], [topic.name, 0, 0])
      await context.eventually('all have arrived', () => got.size === count, 60_000)
    },
  }
}

/** One sentence, the right exit code, no password, and nothing made. */
export function commandRefusals(ends: Ends, from: EndName, to: EndName): Case {
  return {
    number: 228,
    title:
      'waybill bridge says in one sentence what is wrong with its ends, its topics and its options, and makes nothing',
    timeoutMs: 300_000,
    async run(context) {
      const topic = defineTopic(context.unique('refused'), { groups: ['all'] })
      const source = await connectTo(context, ends[from], { topics: [topic] })
      await source.provision([topic])
      const refusal = async (toUrl: string, args: readonly string[], code: number, sentence: RegExp) => {
        const commands = await BridgeCommands.between(context, ends[from], {
          ...ends[to],
          url: toUrl,
          native: {},
        })
        const finished = await commands.run(['--connect-timeout', '2s', ...args])
        expectRefusal(finished, code, sentence)
        assert.doesNotMatch(finished.stderr, /s3cret/)
      }
      const { url } = ends[to]
      await refusal('kafka://bridge:s3cret@127.0.0.1:1', [topic.name], 3, /^waybill: No connection to /)
      await refusal('amqp://bridge:s3cret@127.0.0.1:1', [topic.name], 3, /^waybill: No connection to /)
      await refusal('carrier-pigeon://bridge:s3cret@roof', [topic.name], 3, /carrier-pigeon/)
      await refusal('not a url', [topic.name], 2, /expected scheme:/)
      await refusal(ends[from].url, [topic.name], 2, /both ends are /)
      await refusal(url, ['no-such-topic'], 2, /has no topic "no-such-topic"/)
      await refusal(url, [topic.name, '--as-group', 'nobody'], 2, /has no group "nobody"/)
      await refusal(url, [topic.name, '--group', 'one', '--as-group', 'all'], 2, /not both/)
      await refusal(url, [topic.name, '--lease', '1ms'], 2, /lease/)
      await refusal(url, [topic.name, '--concurrency', 'many'], 2, /concurrency/)
      assert.deepEqual(await source.administration.listGroups(topic), ['all'])
      const target = await connectTo(context, ends[to])
      const names = (await target.administration.listTopics()).map(({ name }) => name)
      assert.ok(!names.includes(topic.name))
    },
  }
}
