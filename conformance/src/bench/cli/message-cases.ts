import assert from 'node:assert/strict'
import type { Case } from '../../case/case.ts'
import { expectCode, expectRefusal } from './expect.ts'
import { patienceMs, timeoutMs } from './time-limit.ts'
import { Waybill } from './waybill.ts'

export const messageCases: readonly Case[] = [
  {
    number: 521,
    title: 'send checks each line by its definition, tells which failed, and sends the others',
    timeoutMs,
    async run(context) {
      const stage = await context.stage()
      const waybill = await Waybill.at(context)
      const { name } = stage.topic
      const definitions = await waybill.definitions({ name, options: { groups: [stage.group] } })
      const recorder = context.recorder()
      await stage.consume(recorder)
      const good = Array.from({ length: 300 }, (_, n) => JSON.stringify({ n }))
      const lines = [...good.slice(0, 100), '{"n":"text"}', 'no JSON', '', ...good.slice(100)]
      const sent = await waybill.run(
        ['send', name, '--type', 'number.sent', '--definitions', definitions],
        lines.join('\n'),
      )
      expectCode(sent, 1)
      const failures = sent.rows().slice(0, -1)
      assert.deepEqual(failures.map(({ line }) => line).toSorted(), [101, 102])
      assert.match(String(failures.find(({ line }) => line === 101)?.error), /data\.n/)
      assert.deepEqual(sent.rows().at(-1), { sent: 300, failed: 2 })
      await context.eventually('the good ones arrive', () => recorder.deliveries.length === 300)
      const seen = recorder.deliveries.length
      expectRefusal(await waybill.run(['send', name], '{}'), 2, /--type/)
      expectRefusal(await waybill.run(['send', name, '--type', 'x', 'nowhere.ndjson']), 2, /cannot be read/)
      const unknown = await waybill.run([
        'send',
        name,
        '--type',
        'nobody.knows',
        '--data',
        '{}',
        '--definitions',
        definitions,
      ])
      expectCode(unknown, 1)
      assert.match(unknown.stdout, /no message \\"nobody\.knows\\"/)
      const enveloped = { type: 'number.sent', id: context.unique('own'), data: { n: 1000 } }
      expectCode(await waybill.run(['send', name, '--envelope'], JSON.stringify(enveloped)), 0)
      await context.eventually('the one without definitions arrives', () =>
        recorder.ids.includes(enveloped.id),
      )
      assert.equal(recorder.deliveries.length, seen + 1)
    },
  },
  {
    number: 522,
    title: 'tail prints every message, and the group still gets every one',
    timeoutMs,
    async run(context) {
      const stage = await context.stage()
      const waybill = await Waybill.at(context)
      const { name } = stage.topic
      if (!context.capabilities.broadcast) {
        expectRefusal(await waybill.run(['tail', name]), 5, /broadcast/)
        return
      }
      const recorder = context.recorder()
      await stage.consume(recorder)
      const tailing = waybill.start(['tail', name, '--type', 'number.#', '--count', '200'])
      await context.eventually('it watches', () => tailing.stderr.includes('Watching'), patienceMs)
      const sent = await stage.send(200)
      const finished = await context.within('it has seen enough', tailing.finished, patienceMs)
      expectCode(finished, 0)
      const ids = sent.map(({ id }) => id).toSorted()
      assert.deepEqual(
        finished
          .rows()
          .map(({ id }) => String(id))
          .toSorted(),
        ids,
      )
      await context.exactly(recorder, sent)
      const interrupted = waybill.start(['tail', name])
      await context.eventually('it watches', () => interrupted.stderr.includes('Watching'), patienceMs)
      interrupted.signal('SIGINT')
      expectCode(await context.within('it ends', interrupted.finished, patienceMs), 130)
    },
  },
]
