import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { PermanentError } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import type { Stage } from '../../case/stage.ts'
import { expectCode, expectRefusal } from './expect.ts'
import { patienceMs, timeoutMs } from './time-limit.ts'
import { Waybill } from './waybill.ts'

/** A stage whose group has given up this many messages. */
async function withLetters(context: CaseContext, count: number): Promise<Stage> {
  const stage = await context.stage()
  const consumer = await stage.consume(context.recorder(), { concurrency: 100 }, ({ data }) => {
    throw new PermanentError(`refused ${JSON.stringify(data)}`)
  })
  await stage.send(count)
  const { deadLetters } = stage.bus.group(stage.topic, stage.group)
  let found = 0
  await context.eventually(
    'all are dead letters',
    async () => {
      found = await deadLetters.count()
      return found === count
    },
    undefined,
    () => found,
  )
  await consumer.stop()
  return stage
}

/** `waybill: 500 of 2,000 letters were discarded.` */
/** Nothing is told before anything has been done. */
function toldIn(text: string): number {
  return text === '' ? 0 : Number(/([\d,]+) of [\d,]+ letters were/.exec(text)?.[1]?.replaceAll(',', ''))
}

export const deadLetterCases: readonly Case[] = [
  {
    number: 511,
    title: '1,000 dead letters are listed, replayed, exported, discarded and imported, each exactly once',
    timeoutMs,
    async run(context) {
      const count = context.load(1000)
      const stage = await withLetters(context, count)
      const waybill = await Waybill.at(context)
      const where = [stage.topic.name, stage.group]
      const listed = await waybill.run(['dead', 'list', ...where])
      expectCode(listed, 0)
      assert.equal(new Set(listed.rows().map(({ id }) => id)).size, count)
      assert.equal(listed.rows()[0]?.reason, 'permanent')

      const file = waybill.path('letters.ndjson')
      expectCode(await waybill.run(['dead', 'export', ...where, '--all', '--output', file]), 0)
      expectRefusal(
        await waybill.run(['dead', 'export', ...where, '--all', '--output', file]),
        2,
        /exists already/,
      )
      const dry = await waybill.run(['dead', 'discard', ...where, '--all', '--dry-run'])
      assert.equal(dry.rows()[0]?.selected, count)
      expectRefusal(await waybill.run(['dead', 'discard', ...where, '--all']), 2, /add --yes/)
      const { deadLetters } = stage.bus.group(stage.topic, stage.group)
      assert.equal(await deadLetters.count(), count)
      const discarded = await waybill.run(['dead', 'discard', ...where, '--all', '--yes'])
      expectCode(discarded, 0)
      assert.equal(discarded.rows()[0]?.discarded, count)
      assert.equal((await waybill.run(['dead', 'list', ...where])).stdout, '')

      // The export with a line that is none, and one letter twice.
      const lines = (await readFile(file, 'utf8')).trim().split('\n')
      assert.equal(lines.length, count)
      await writeFile(file, ['{"no":"letter"}', ...lines, lines[0]].join('\n'))
      const imported = await waybill.run(['dead', 'import', ...where, file])
      expectCode(imported, 1)
      assert.equal(imported.rows().find(({ line }) => line !== undefined)?.line, 1)
      const { imported: added, alreadyThere, failed } = imported.rows().at(-1) ?? {}
      assert.deepEqual([added, alreadyThere, failed], [count, 1, 1])
      assert.equal(await deadLetters.count(), count)

      const untouched = await waybill.run(['dead', 'replay', ...where, '--all', '--dry-run'])
      assert.equal(untouched.rows()[0]?.selected, count)
      assert.equal(await deadLetters.count(), count)
      const replayed = await waybill.run(['dead', 'replay', ...where, '--all'])
      expectCode(replayed, 0)
      assert.equal(replayed.rows()[0]?.replayed, count)
      const recorder = context.recorder()
      await stage.consume(recorder, { concurrency: 100 })
      await context.eventually(
        'all are handled',
        () => recorder.deliveries.length >= count,
        undefined,
        () => recorder.deliveries.length,
      )
      assert.equal(new Set(recorder.ids).size, count)
    },
  },
  {
    number: 512,
    title: 'Letters are chosen by ids and conditions, shown whole, and unknown ones are told of',
    timeoutMs,
    async run(context) {
      const stage = await withLetters(context, 5)
      const waybill = await Waybill.at(context)
      const where = [stage.topic.name, stage.group]
      const found = await waybill.run(['dead', 'list', ...where, '--error', '"n":3', '--newer-than', '1h'])
      assert.equal(found.rows().length, 1)
      const id = String(found.rows()[0]?.id)
      const shown = await waybill.run(['dead', 'show', ...where, String(found.rows()[0]?.messageId)])
      expectCode(shown, 0)
      const { message } = shown.rows()[0] ?? {}
      assert.deepEqual(message, { ...Object(message), type: 'number.sent', data: { n: 3 } })
      const text = await waybill.run(['--no-json', 'dead', 'show', ...where, id])
      expectCode(text, 0)
      assert.match(text.stdout, /"n": 3/)

      expectRefusal(await waybill.run(['dead', 'replay', ...where]), 2, /Say which letters/)
      expectRefusal(await waybill.run(['dead', 'replay', ...where, id, '--all']), 2, /in one way/)
      expectRefusal(await waybill.run(['dead', 'list', ...where, '--newer-than', 'soon']), 2, /newerThan/)
      const replayed = await waybill.run(['dead', 'replay', ...where, id, 'no-such-letter'])
      expectCode(replayed, 1)
      assert.deepEqual([replayed.rows()[0]?.replayed, replayed.rows()[0]?.missing], [1, ['no-such-letter']])
      assert.equal((await stage.deadLetters()).length, 4)
      const discarded = await waybill.run(['dead', 'discard', ...where, '--type', 'number.*', '--yes'])
      assert.equal(discarded.rows()[0]?.discarded, 4)
    },
  },
  {
    number: 513,
    title: 'A letter is edited and replayed once it fits its definition, and not before',
    timeoutMs,
    async run(context) {
      const stage = await withLetters(context, 1)
      const waybill = await Waybill.at(context)
      const [letter] = await stage.deadLetters()
      const edit = ['dead', 'edit-and-replay', stage.topic.name, stage.group, letter?.message?.id ?? '']
      const definitions = await waybill.definitions({
        name: stage.topic.name,
        options: { groups: [stage.group] },
      })
      const checked = [...edit, '--definitions', definitions]
      expectRefusal(await waybill.run([...checked, '--set', 'n="many"']), 1, /data\.n/)
      expectRefusal(await waybill.run([...checked, '--set', 'n=many']), 2, /double quotes/)
      expectRefusal(await waybill.run([...checked, '--data', '{']), 2, /--data is no JSON/)
      expectRefusal(await waybill.run(checked), 2, /--data, --set or --body-file/)
      const dry = await waybill.run([...checked, '--set', 'n=42', '--dry-run'])
      assert.deepEqual(dry.rows()[0]?.data, { n: 42 })
      assert.equal((await stage.deadLetters())[0]?.id, letter?.id)
      expectCode(await waybill.run([...checked, '--set', 'n=42']), 0)
      const recorder = context.recorder()
      await stage.consume(recorder)
      await context.eventually('it is handled', () => recorder.deliveries.length === 1)
      assert.deepEqual(recorder.ids, [letter?.message?.id])
      assert.equal((await stage.deadLetters()).length, 0)
    },
  },
  {
    number: 514,
    title: 'What is interrupted in the middle says how far it came, and a second run does the rest',
    timeoutMs,
    async run(context) {
      const count = context.load(2000)
      const stage = await withLetters(context, count)
      const waybill = await Waybill.at(context)
      const where = [stage.topic.name, stage.group]
      const { deadLetters } = stage.bus.group(stage.topic, stage.group)
      const discarding = waybill.start(['dead', 'discard', ...where, '--all', '--yes'])
      await context.eventually('some are gone', async () => (await deadLetters.count()) < count, patienceMs)
      discarding.signal('SIGINT')
      const interrupted = await context.within('it ends', discarding.finished, patienceMs)
      // It may have been too quick for us.
      const told = interrupted.code === 0 ? interrupted.rows()[0]?.discarded : toldIn(interrupted.stderr)
      assert.ok(interrupted.code === 0 || interrupted.code === 130, `exit code ${interrupted.code}`)
      assert.equal(told, count - (await deadLetters.count()), interrupted.stderr)
      expectCode(await waybill.run(['dead', 'discard', ...where, '--all', '--yes']), 0)
      assert.equal(await deadLetters.count(), 0)
    },
  },
]
