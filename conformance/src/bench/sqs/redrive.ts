import assert from 'node:assert/strict'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'

const maxReceiveCount = 3

async function movedBySqs(context: CaseContext, ordered: boolean): Promise<void> {
  const topic = { ordered, groups: [context.unique('group')] }
  const stage = await context.stage({ connect: { native: { sqs: { maxReceiveCount } } }, topic })
  // Of one key, so that on a FIFO queue they would be seen only one after another.
  const sent = await stage.send(3, { key: 'same' })
  const pull = context.pull(stage.bus, stage.message, { group: stage.group, prefetch: 1 })
  // Whoever dies with a message in hand and whoever gives it back are the same to SQS.
  for (let delivery = 0; delivery < sent.length * maxReceiveCount; delivery += 1) {
    await (await pull.next()).release()
  }
  const ids = async () => (await stage.deadLetters()).map(({ message }) => message?.id).sort()
  await context.eventually('they are dead letters', async () => (await ids()).length === sent.length)
  assert.deepEqual(await ids(), sent.map(({ id }) => id).sort())
  assert.ok((await stage.deadLetters()).every(({ reason }) => reason === 'unknown'))
  await pull.close()
  const recorder = context.recorder()
  await stage.consume(recorder)
  assert.equal(await stage.bus.group(stage.topic, stage.group).deadLetters.replayAll(), sent.length)
  await context.exactly(recorder, sent)
  assert.ok(recorder.deliveries.every(({ attempt }) => attempt === 1))
}

export const redrive: readonly Case[] = [
  {
    number: 401,
    part: 'a',
    title: 'What SQS itself moved is with the dead letters, and can be replayed',
    run: (context) => movedBySqs(context, false),
  },
  {
    number: 401,
    part: 'b',
    title:
      'What SQS itself moved from a FIFO queue is with the dead letters, all of one key too, and can be replayed',
    run: (context) => movedBySqs(context, true),
  },
]
