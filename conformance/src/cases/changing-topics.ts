import assert from 'node:assert/strict'
import { type Bus, type BusListeners, type Message, MessagingError } from '@waybill/core'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'
import { offered } from '../case/offered.ts'
import type { Stage } from '../case/stage.ts'

/** Whether the topic is deleted under its consumers. A broker that refuses that must say why, and change nothing. */
async function deleteUnderConsumers(context: CaseContext, { bus, topic }: Stage): Promise<boolean> {
  try {
    await offered(context, 'deleteTopic', bus.administration.deleteTopic(topic))
    return true
  } catch (error) {
    if (!MessagingError.is(error) || error.code !== 'rejected') throw error
    assert.match(error.message, /has consumers/)
    return false
  }
}

/** Sends until a message is confirmed; before that the topic may be missing. */
async function sendAgain(context: CaseContext, stage: Stage): Promise<Message> {
  let sent: Message | undefined
  await context.eventually('the producer that ran before goes on', async () => {
    try {
      sent = await stage.sendOne()
      return true
    } catch (error) {
      if (MessagingError.is(error) && error.retryable) return false
      throw error
    }
  })
  assert.ok(sent)
  return sent
}

/** Topics that change under those who use them. */
export const changingTopics: readonly Case[] = [
  {
    number: 100,
    part: 'a',
    title:
      'A topic that is deleted and at once made again by others works on for running producers and consumers: nothing confirmed later is lost',
    timeoutMs: 120_000,
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const consumer = await stage.consume(recorder)
      const before = await stage.send(10)
      await context.exactly(recorder, before)
      const isUnderWay = await deleteUnderConsumers(context, stage)
      if (!isUnderWay) {
        const unchanged = await stage.send(5)
        await context.exactly(recorder, [...before, ...unchanged])
        before.push(...unchanged)
        await consumer.stop()
        await stage.bus.administration.deleteTopic(stage.topic)
      }
      let others: Bus | undefined
      // Some brokers are still deleting when they have said so.
      await context.eventually('it is made again', async () => {
        others = await context.bus({ topics: [stage.topic] })
        return true
      })
      assert.ok(others)
      if (!isUnderWay) await stage.consume(recorder)
      const after = [await sendAgain(context, stage), ...(await stage.send(10))]
      const producer = others.producer({ timeout: context.sendTimeoutMs })
      for (let n = 0; n < 10; n += 1) after.push(await producer.send(stage.message, { n }))
      await context.exactly(recorder, [...before, ...after])
    },
  },
  {
    number: 100,
    part: 'b',
    title:
      'Consumers whose topic is deleted tell of it, make it again and go on with what is sent to it then',
    timeoutMs: 120_000,
    async run(context) {
      const told: string[] = []
      const on: BusListeners = {
        warning: ({ message }) => told.push(message),
        failure: ({ what, error }) => told.push(`${what}: ${error.message}`),
        disconnected: ({ error }) => told.push(error.message),
      }
      const stage = await context.stage({ connect: { on } })
      const recorder = context.recorder()
      await stage.consume(recorder)
      const before = await stage.send(10)
      await context.exactly(recorder, before)
      if (!(await deleteUnderConsumers(context, stage))) {
        context.skip(
          `${context.harness.adapter.name} refuses to delete a topic that has consumers, and says so`,
        )
      }
      const { name } = stage.topic
      await context.eventually('it is told', () => told.some((text) => text.includes(name)))
      const after = [await sendAgain(context, stage), ...(await stage.send(10))]
      await context.exactly(recorder, [...before, ...after])
    },
  },
]
