import assert from 'node:assert/strict'
import { type ExportedDeadLetter, PermanentError } from '@waybill/core'
import type { DeadLetterStore } from '@waybill/core/driver'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'
import { offered } from '../case/offered.ts'
import { refusal } from '../case/refusal.ts'
import type { Stage } from '../case/stage.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'

const hopeless = () => {
  throw new PermanentError('hopeless')
}

function storeOf({ bus, topic, group }: Stage, by = bus) {
  return by.group(topic, group).deadLetters
}

async function exported(stage: Stage): Promise<ExportedDeadLetter[]> {
  const letters: ExportedDeadLetter[] = []
  for await (const letter of storeOf(stage).export()) letters.push(letter)
  return JSON.parse(JSON.stringify(letters))
}

/** Sends messages, one of them with data that is no ASCII, and waits until all are given up. */
async function giveUp(context: CaseContext, stage: Stage, count: number) {
  const consumer = await stage.consume(context.recorder(), {}, hopeless)
  const sent = [...(await stage.send(count - 1)), await stage.sendOne({}, { key: 'größe' })]
  await context.eventually('all are dead letters', async () => (await storeOf(stage).count()) === count)
  await consumer.stop()
  return sent
}

async function comesBack(context: CaseContext, ordered: boolean): Promise<void> {
  const stage = await context.stage({ topic: { ordered } })
  const sent = await giveUp(context, stage, 4)
  const store = storeOf(stage)
  const letters = await exported(stage)
  const recorder = context.recorder()
  const expected = []
  // Again under the same ids: a broker that drops what it has seen before must not drop these.
  for (let round = 1; round <= 2; round += 1) {
    if (round === 1) assert.equal(await store.discardAll(), 4)
    const report = await offered(context, 'imports of dead letters', store.import(letters))
    assert.deepEqual(report, { imported: 4, alreadyThere: 0, refused: [] })
    let listed: ExportedDeadLetter[] = []
    await context.eventually('all are listed', async () => {
      listed = await exported(stage)
      return listed.length === 4
    })
    const byId = (one: ExportedDeadLetter, other: ExportedDeadLetter) => (one.id < other.id ? -1 : 1)
    assert.deepEqual(listed.sort(byId), letters.sort(byId))
    assert.deepEqual(await store.import(letters), { imported: 0, alreadyThere: 4, refused: [] })
    assert.equal(await store.replayAll(), 4)
    expected.push(...sent)
    if (round === 1) await stage.consume(recorder)
    await context.exactly(recorder, expected)
    assert.equal(await store.count(), 0)
  }
  assert.ok(
    recorder.deliveries.every(({ attempt }) => attempt === 1),
    'an imported letter did not start with attempt 1',
  )
}

type Step = 'add' | 'discard' | 'replay'

/** A bus whose dead letters do one step and then fail, as if the process had died there. */
async function busThatEndsAfter(context: CaseContext, step: Step) {
  const end = () => {
    throw new Error(`ended after ${step}`)
  }
  const after =
    <Args extends unknown[], Result>(own: Step, run: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      const result = await run(...args)
      return own === step ? end() : result
    }
  const adapter = wrapAdapter(context.harness.adapter, {
    deadLetters: (store): DeadLetterStore => ({
      count: () => store.count(),
      list: () => store.list(),
      replay: after('replay', (ids) => store.replay(ids)),
      discard: after('discard', (ids) => store.discard(ids)),
      ...(store.add && { add: after('add', store.add.bind(store)) }),
    }),
  })
  return context.bus({ adapter })
}

export const exportedLetters: readonly Case[] = [
  {
    number: 250,
    part: 'a',
    title: 'Exported letters come back as they were, each once, and are replayed, as often as one likes',
    run: (context) => comesBack(context, false),
  },
  {
    number: 250,
    part: 'b',
    title: 'The same on an ordered topic',
    requires: ['ordered'],
    run: (context) => comesBack(context, true),
  },
  {
    number: 250,
    part: 'c',
    title: 'Letters that cannot be imported are refused one by one, with a reason; the others are there',
    async run(context) {
      const stage = await context.stage()
      await giveUp(context, stage, 3)
      const [one, two, three] = await exported(stage)
      assert.ok(one && two && three)
      const store = storeOf(stage)
      await store.discardAll()
      const large = 'x'.repeat(context.capabilities.maxMessageBytes + 1)
      const given = [one, { ...two, version: 2 }, { ...two, body: { text: large } }, three, { id: two.id }]
      const report = await offered(context, 'imports of dead letters', store.import(given))
      assert.equal(report.imported, 2)
      assert.deepEqual(
        report.refused.map(({ index, id, error }) => [index, id, error.code]),
        [
          [1, two.id, 'invalid-options'],
          [2, two.id, 'too-large'],
          [4, two.id, 'invalid-options'],
        ],
      )
      const problems = report.refused[2]?.error.message ?? ''
      for (const path of ['version', 'headers', 'body']) {
        assert.ok(problems.includes(`- ${path}`), `"${problems}" does not name ${path}`)
      }
      const there = async () => (await exported(stage)).map(({ id }) => id).sort()
      await context.eventually('the two are listed', async () => (await there()).length === 2)
      assert.deepEqual(await there(), [one.id, three.id].sort())
    },
  },
  {
    number: 251,
    part: 'a',
    title:
      'A letter that is replayed with other data reaches its group only; data that does not fit changes nothing',
    needs: ['severalGroups'],
    async run(context) {
      const groups = [context.unique('failing'), context.unique('content')]
      const stage = await context.stage({ topic: { groups } })
      const content = context.recorder()
      await stage.consume(content, { group: groups[1] ?? '' })
      const sent = await giveUp(context, stage, 2)
      await context.exactly(content, sent)
      const store = storeOf(stage)
      const [letter, other] = await stage.deadLetters()
      assert.ok(letter?.message && other)
      const definitions = [stage.message]
      const edit = store.replayEdited(letter.id, { data: { n: 1000 }, definitions })
      assert.deepEqual(await offered(context, 'edited replays', edit), { replayed: 1, missing: [] })
      const refused = store.replayEdited(other.id, { data: { n: 'many' }, definitions })
      await refusal('the edit', refused, 'invalid-message')
      const recorder = context.recorder()
      await stage.consume(recorder)
      await context.exactly(recorder, [letter.message])
      assert.deepEqual(recorder.deliveries[0]?.message.data, { n: 1000 })
      const left = (await stage.deadLetters()).map(({ id, body }) => [id, Buffer.from(body).toString()])
      assert.deepEqual(left, [[other.id, Buffer.from(other.body).toString()]])
      await context.exactly(content, sent)
    },
  },
  {
    number: 251,
    part: 'b',
    title:
      'An edited replay that ends at any point loses nothing, and is finished, not repeated, by the next',
    async run(context) {
      const stage = await context.stage()
      await giveUp(context, stage, 3)
      const letters = await stage.deadLetters()
      const recorder = context.recorder()
      const store = storeOf(stage)
      const steps = ['add', 'discard', 'replay'] as const
      for (const [index, step] of steps.entries()) {
        const letter = letters[index]
        assert.ok(letter)
        const change = { data: { n: 1000 + index } }
        const ending = storeOf(stage, await busThatEndsAfter(context, step))
        const ended = await ending.replayEdited(letter.id, change).catch((error: unknown) => error)
        assert.ok(ended instanceof Error, 'it did not end')
        if (index === 0 && !ended.message.includes('ended after')) {
          await offered(context, 'edited replays', Promise.reject(ended))
        }
        assert.ok(ended.message.includes(`ended after ${step}`), ended.message)
        const seen = async () =>
          (await stage.deadLetters()).filter(({ id }) => id.startsWith(letter.id)).length
        if (step !== 'replay') await context.eventually('it is still listed', async () => (await seen()) > 0)
        await store.replayEdited(letter.id, change)
        assert.deepEqual(await store.replayEdited(letter.id, change), { replayed: 0, missing: [letter.id] })
      }
      assert.equal(await store.count(), 0)
      await stage.consume(recorder)
      await context.exactly(
        recorder,
        letters.flatMap(({ message }) => message ?? []),
      )
      const numbers = recorder.deliveries.map(({ message }) => Reflect.get(Object(message.data), 'n'))
      assert.deepEqual(numbers.sort(), [1000, 1001, 1002])
    },
  },
]
