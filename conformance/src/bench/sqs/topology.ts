import assert from 'node:assert/strict'
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs'
import { defineMessage, defineTopic } from '@waybill/core'
import { z } from 'zod'
import type { Case } from '../../case/case.ts'

export function topology(sqs: SQSClient): readonly Case[] {
  async function depthOf(QueueName: string): Promise<number> {
    const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName }))
    const AttributeNames = ['ApproximateNumberOfMessages'] as const
    const { Attributes } = await sqs.send(
      new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [...AttributeNames] }),
    )
    return Number(Attributes?.ApproximateNumberOfMessages)
  }

  return [
    {
      number: 421,
      title: 'SNS delivers to a queue what its group may want, and nothing else',
      needs: ['severalGroups'],
      async run(context) {
        const [exact, below, all] = ['exact', 'below', 'all'].map((name) => context.unique(name))
        assert.ok(exact && below && all)
        const topic = defineTopic(context.unique('topic'), {
          groups: [{ name: exact, types: ['order.created'] }, { name: below, types: ['order.#'] }, all],
        })
        const bus = await context.bus({ topics: [topic] })
        const schema = z.object({})
        for (const type of ['order.created', 'order.paid', 'invoice.created']) {
          await bus.producer().send(defineMessage(topic, type, { schema }), {})
        }
        const depths = () =>
          Promise.all([exact, below, all].map((group) => depthOf(`${topic.name}_${group}`)))
        await context.eventually('the group of all has three', async () => (await depths())[2] === 3)
        await context.quiet()
        assert.deepEqual(await depths(), [1, 2, 3])
      },
    },
    {
      number: 422,
      title: 'A topic uses queues that are there, by name or ARN, and makes none in their place',
      async run(context) {
        const own = context.unique('own')
        const dead = context.unique('own-dead')
        const missing = `arn:aws:sqs:us-east-1:000000000000:${context.unique('missing')}`
        const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: own }))
        await sqs.send(new CreateQueueCommand({ QueueName: dead }))
        const { Attributes } = await sqs.send(
          new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }),
        )
        const group = context.unique('group')
        const native = (arn: string | undefined) => ({
          sqs: { queues: { [group]: arn }, deadLetterQueues: { [group]: dead } },
        })
        const stage = await context.stage({
          connect: { provision: 'verify' },
          topic: { groups: [group], native: native(Attributes?.QueueArn) },
        })
        const sent = await stage.sendOne()
        assert.equal(await depthOf(own), 1)
        const recorder = context.recorder()
        await stage.consume(recorder)
        await context.exactly(recorder, [sent])
        await assert.rejects(
          context.stage({ topic: { groups: [group], native: native(missing) } }),
          /does not exist, and Waybill creates nothing that is given as an ARN/,
        )
      },
    },
  ]
}
