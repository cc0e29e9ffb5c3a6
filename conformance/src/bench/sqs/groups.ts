import assert from 'node:assert/strict'
import {
  GetSubscriptionAttributesCommand,
  ListSubscriptionsByTopicCommand,
  ListTopicsCommand,
} from '@aws-sdk/client-sns'
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { type Bus, defineTopic, MessagingError } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { numbered } from '../../fixtures/numbered.ts'
import { openDriver } from './open-driver.ts'
import type { Surroundings } from './surroundings.ts'

/** A program that knows the topic with one group only, its own. */
async function program(context: CaseContext, name: string, group: string) {
  const topic = defineTopic(name, { groups: [group] })
  const bus = await context.bus({ topics: [topic] })
  const recorder = context.recorder()
  const message = numbered(topic)
  await bus.consumer(group).on(message, recorder.handler()).start()
  return { bus, topic, recorder, message }
}

export function groups({ sqs, sns, emulator }: Surroundings): readonly Case[] {
  async function depthOf(client: SQSClient, QueueName: string): Promise<number> {
    const { QueueUrl } = await client.send(new GetQueueUrlCommand({ QueueName }))
    const AttributeNames = ['ApproximateNumberOfMessages'] as const
    const { Attributes } = await client.send(
      new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [...AttributeNames] }),
    )
    return Number(Attributes?.ApproximateNumberOfMessages)
  }

  return [
    {
      number: 451,
      part: 'a',
      title: 'Programs that each declare only their own group of a topic all get every message',
      needs: ['severalGroups'],
      async run(context) {
        const name = context.unique('topic')
        const first = await program(context, name, context.unique('billing'))
        await context.exactly(first.recorder, [await first.bus.producer().send(first.message, { n: 0 })])
        const second = await program(context, name, context.unique('shipping'))
        // Both send; the first has never heard of the second.
        const sent = await Promise.all(
          [1, 2, 3, 4, 5].flatMap((n) => [
            first.bus.producer().send(first.message, { n }),
            second.bus.producer().send(second.message, { n }),
          ]),
        )
        await context.exactly(second.recorder, sent)
        await context.eventually('the first has them too', () => first.recorder.deliveries.length === 11)
        await context.quiet()
        assert.equal(first.recorder.deliveries.length, 11)
      },
    },
    {
      number: 451,
      part: 'b',
      title: 'Without SNS the second group of a topic is refused at start, and the first is named',
      async run(context) {
        const name = context.unique('topic')
        const native = { sqs: { fanOut: 'never' as const } }
        const connect = (group: string): Promise<Bus> =>
          context.bus({ ...never(native), topics: [defineTopic(name, { groups: [group] })] })
        const billing = context.unique('billing')
        await connect(billing)
        await connect(billing)
        await assert.rejects(connect(context.unique('shipping')), (error: unknown) => {
          assert.ok(MessagingError.is(error))
          assert.equal(error.code, 'unsupported')
          assert.ok(error.message.includes(billing), error.message)
          return true
        })
        // On ElasticMQ the URL says so already.
        function never(options: typeof native) {
          return context.harness.severalGroups === false ? {} : { native: options }
        }
      },
    },
    {
      number: 452,
      title: 'What SNS cannot deliver to a group goes to its dead letters',
      needs: ['severalGroups'],
      async run(context) {
        const groupNames = [context.unique('one'), context.unique('two')]
        const stage = await context.stage({ topic: { groups: groupNames } })
        let token: string | undefined
        let TopicArn: string | undefined
        do {
          const page = await sns.send(new ListTopicsCommand({ NextToken: token }))
          TopicArn ??= page.Topics?.find((each) => each.TopicArn?.endsWith(`:${stage.topic.name}`))?.TopicArn
          token = page.NextToken
        } while (token !== undefined)
        const { Subscriptions = [] } = await sns.send(new ListSubscriptionsByTopicCommand({ TopicArn }))
        assert.equal(Subscriptions.length, 2)
        const targets: string[] = []
        for (const { SubscriptionArn } of Subscriptions) {
          const { Attributes } = await sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn }))
          targets.push(String(JSON.parse(Attributes?.RedrivePolicy ?? '{}').deadLetterTargetArn))
        }
        const names = targets.map((arn) => arn.split(':').at(-1) ?? '').sort()
        assert.deepEqual(names, groupNames.map((group) => `${stage.topic.name}_${group}_dead`).sort())
      },
    },
    {
      number: 453,
      part: 'a',
      title: 'A queue named by an ARN of another region is used there, not its namesake here',
      needs: ['severalGroups'],
      async run(context) {
        const name = context.unique('own')
        const there = new SQSClient({
          endpoint: `http://${emulator.host}:${emulator.port}`,
          region: 'eu-west-1',
          credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
          useQueueUrlAsEndpoint: false,
        })
        context.defer(() => there.destroy())
        for (const client of [sqs, there]) {
          for (const QueueName of [name, `${name}-dead`])
            await client.send(new CreateQueueCommand({ QueueName }))
        }
        const arnOf = async (client: SQSClient, QueueName: string) => {
          const { QueueUrl } = await client.send(new GetQueueUrlCommand({ QueueName }))
          const { Attributes } = await client.send(
            new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }),
          )
          return Attributes?.QueueArn ?? ''
        }
        const group = context.unique('group')
        const arn = await arnOf(there, name)
        assert.match(arn, /:eu-west-1:/)
        const native = {
          sqs: {
            queues: { [group]: arn },
            deadLetterQueues: { [group]: await arnOf(there, `${name}-dead`) },
          },
        }
        const stage = await context.stage({
          connect: { provision: 'verify' },
          topic: { groups: [group], native },
        })
        const sent = await stage.sendOne()
        assert.equal(await depthOf(there, name), 1)
        assert.equal(await depthOf(sqs, name), 0)
        const recorder = context.recorder()
        await stage.consume(recorder)
        await context.exactly(recorder, [sent])
      },
    },
    {
      number: 453,
      part: 'b',
      title: 'Where the service answers for a queue of another account than the ARN names, it is refused',
      async run(context) {
        const name = context.unique('own')
        const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: name }))
        const { Attributes } = await sqs.send(
          new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }),
        )
        const foreign = (Attributes?.QueueArn ?? '').replace(/:\d+:/, ':999988887777:')
        const group = context.unique('group')
        await assert.rejects(
          context.stage({ topic: { groups: [group], native: { sqs: { queues: { [group]: foreign } } } } }),
          (error: unknown) => {
            assert.ok(MessagingError.is(error))
            // Emulators know one account only; the service itself would say that there is none.
            assert.match(error.code, /^topology-/)
            assert.match(error.message, /999988887777/)
            return true
          },
        )
      },
    },
    {
      number: 454,
      title:
        'A group’s wishes are at the broker: they outlive members, add up, and answer for other processes',
      needs: ['severalGroups'],
      async run(context) {
        const name = context.unique('topic')
        const group = context.unique('group')
        const apply = async (types: readonly string[]) => {
          const topic = defineTopic(name, { groups: [{ name: group, types }] })
          await (await context.bus({ topics: [topic] })).close()
          return topic
        }
        const driver = await openDriver(context)
        const topic = await apply(['order.created', 'invoice.#'])
        const types = ['order.created', 'invoice.paid.late', 'order.paid', 'order.shipped']
        assert.deepEqual(await driver.wanted(topic, group, types), [true, true, false, false])
        await Promise.all([apply(['order.paid']), apply(['order.shipped'])])
        assert.deepEqual(await driver.wanted(topic, group, types), [true, true, true, true])
        assert.deepEqual(await driver.wanted(topic, group, ['else']), [false])
        // A group that is known by its name alone has said nothing, so that nothing of it may be skipped.
        const named = context.unique('named')
        await context.bus({
          topics: [defineTopic(name, { groups: [{ name: group, types: ['order.paid'] }, named] })],
        })
        assert.deepEqual(await driver.wanted(topic, named, ['else']), [true])
      },
    },
  ]
}
