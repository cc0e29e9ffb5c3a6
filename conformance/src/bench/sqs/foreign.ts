import assert from 'node:assert/strict'
import { GetQueueUrlCommand, SendMessageCommand } from '@aws-sdk/client-sqs'
import type { Case } from '../../case/case.ts'
import type { Surroundings } from './surroundings.ts'

/** Amazon S3 User Guide, "Event message structure". */
const s3Event = {
  Records: [1, 2].map((n) => ({
    eventVersion: '2.1',
    eventSource: 'aws:s3',
    awsRegion: 'us-east-1',
    eventTime: '2026-11-28T12:00:00.000Z',
    eventName: 'ObjectCreated:Put',
    s3: { bucket: { name: 'bucket' }, object: { key: `${n}.csv`, size: 1024 } },
  })),
}

/** Amazon SNS Developer Guide, "Raw message delivery": what arrives without it. */
const notification = {
  Type: 'Notification',
  MessageId: '22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324',
  TopicArn: 'arn:aws:sns:us-east-1:123456789012:orders',
  Message: '{"specversion":"1.0","id":"1","source":"shop","type":"number","data":{"n":1}}',
  Timestamp: '2026-11-28T12:00:00.000Z',
  SignatureVersion: '1',
  Signature: 'EXAMPLE',
}

/** What a queue takes at most (Amazon SQS Developer Guide, "Message quotas"). */
const queueBytes = 1_048_576

export function foreign({ sqs }: Surroundings): readonly Case[] {
  async function sendTo(name: string, body: string): Promise<void> {
    const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: name }))
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: body }))
  }

  return [
    {
      number: 441,
      title:
        'An S3 event and an SNS notification that is not raw are one dead letter each, and hold up nobody',
      async run(context) {
        const stage = await context.stage()
        const recorder = context.recorder()
        await stage.consume(recorder)
        const bodies = [s3Event, notification].map((each) => JSON.stringify(each))
        for (const body of bodies) await sendTo(`${stage.topic.name}_${stage.group}`, body)
        const sent = await stage.send(5)
        await context.exactly(recorder, sent)
        await context.eventually(
          'both are dead letters',
          async () => (await stage.deadLetters()).length === 2,
        )
        await context.quiet()
        const letters = await stage.deadLetters()
        assert.deepEqual(letters.map(({ body }) => Buffer.from(body).toString()).sort(), [...bodies].sort())
        assert.deepEqual(new Set(letters.map(({ reason }) => reason)), new Set(['undecodable']))
      },
    },
    {
      number: 442,
      title: 'A foreign message that fills all that SQS takes ends as a dead letter that says what it lost',
      async run(context) {
        const stage = await context.stage()
        const recorder = context.recorder()
        await stage.consume(recorder)
        await sendTo(`${stage.topic.name}_${stage.group}`, 'x'.repeat(queueBytes))
        await context.exactly(recorder, [await stage.sendOne()])
        await context.eventually('it is a dead letter', async () => (await stage.deadLetters()).length === 1)
        const [letter] = await stage.deadLetters()
        assert.equal(letter?.reason, 'undecodable')
        assert.match(letter.error?.message ?? '', /The body was cut from 1048576 to \d+ bytes/)
        assert.equal(Buffer.from(letter.body).toString(), 'x'.repeat(letter.body.byteLength))
        assert.ok(letter.body.byteLength > queueBytes - 10_000)
        assert.equal(await context.unsettled(stage.topic, stage.group), 0)
      },
    },
  ]
}
