import assert from 'node:assert/strict'
import { GetQueueUrlCommand, ReceiveMessageCommand, type SQSClient } from '@aws-sdk/client-sqs'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import type { Stage } from '../../case/stage.ts'

const maxReceiveCount = 3

/** As a consumer that dies with each message in hand, and whose leases are over at once. */
async function dieWith(stage: Stage, sqs: SQSClient, count: number): Promise<void> {
  const end = stage.topic.ordered ? '.fifo' : ''
  const QueueName = `${stage.topic.name}_${stage.group}${end}`
  const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName }))
  for (let received = 0; received < count; ) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl, VisibilityTimeout: 0, MaxNumberOfMessages: 1 }),
    )
    received += Messages.length
  }
}

async function movedBySqs(context: CaseContext, sqs: SQSClient, ordered: boolean): Promise<void> {
  const topic = { ordered, groups: [context.unique('group')] }
  const stage = await context.stage({ connect: { native: { sqs: { maxReceiveCount } } }, topic })
  // Of one key, so that on a FIFO queue they would be seen only one after another.
  const sent = await stage.send(3, { key: 'same' })
  await dieWith(stage, sqs, sent.length * maxReceiveCount)
  const recorder = context.recorder()
  await stage.consume(recorder)
  const ids = async () => (await stage.deadLetters()).map(({ message }) => message?.id).sort()
  await context.eventually('they are dead letters', async () => (await ids()).length === sent.length)
  assert.deepEqual(await ids(), sent.map(({ id }) => id).sort())
  assert.ok((await stage.deadLetters()).every(({ reason }) => reason === 'unknown'))
  assert.deepEqual(recorder.ids, [])
  assert.equal(await stage.bus.group(stage.topic, stage.group).deadLetters.replayAll(), sent.length)
  await context.exactly(recorder, sent)
  assert.ok(recorder.deliveries.every(({ attempt }) => attempt === 1))
}

export function redrive(sqs: SQSClient): readonly Case[] {
  return [
    {
      number: 401,
      part: 'a',
      title: 'What SQS itself moved is with the dead letters, and can be replayed',
      run: (context) => movedBySqs(context, sqs, false),
    },
    {
      number: 401,
      part: 'b',
      title:
        'What SQS itself moved from a FIFO queue is with the dead letters, all of one key too, and can be replayed',
      run: (context) => movedBySqs(context, sqs, true),
    },
    {
      number: 402,
      title: 'Being given back never brings a message nearer to the dead letters, however often',
      async run(context) {
        const stage = await context.stage({ connect: { native: { sqs: { maxReceiveCount } } } })
        const sent = await stage.sendOne()
        const pull = context.pull(stage.bus, stage.message, { group: stage.group, prefetch: 1 })
        for (let release = 0; release < 4 * maxReceiveCount; release += 1) await (await pull.next()).release()
        await pull.close()
        const recorder = context.recorder()
        await stage.consume(recorder, { maxDeliveries: 1 })
        await context.exactly(recorder, [sent])
        assert.deepEqual(await stage.deadLetters(), [])
      },
    },
  ]
}
