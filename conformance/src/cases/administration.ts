import assert from 'node:assert/strict'
import type { Topic } from '@waybill/core'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'
import { offered } from '../case/offered.ts'
import { refusal } from '../case/refusal.ts'

/** Waits until a bus that makes nothing misses it: some brokers are still deleting when they have said so. */
async function untilMissing(context: CaseContext, topic: Topic, name: string): Promise<void> {
  await context.eventually(`${name} is missing`, async () => {
    const verifying = context.bus({ provision: 'verify', topics: [topic] })
    return (await refusal('connect', verifying, 'topology-missing')).message.includes(name)
  })
}

export const administration: readonly Case[] = [
  {
    number: 108,
    part: 'a',
    title: 'Topics and groups are listed, whoever made them and declared or not',
    needs: ['severalGroups'],
    async run(context) {
      const groups = [context.unique('first'), context.unique('second')]
      const stage = await context.stage({ topic: { groups } })
      const ordered = context.capabilities.ordered
      const other = await context.stage({ topic: { ordered } })
      const { administration: looking } = await context.bus()
      const adhoc = context.unique('adhoc')
      await stage.consume(context.recorder(), { group: adhoc, allowUndeclaredGroup: true })

      await offered(context, 'listTopics', looking.listTopics())
      for (const { name, ordered } of [stage.topic, other.topic]) {
        let listed: readonly Topic[] = []
        await context.eventually(`${name} is listed`, async () => {
          listed = (await looking.listTopics()).filter((topic) => topic.name === name)
          return listed.length > 0
        })
        assert.equal(listed.length, 1, `${name} is listed ${listed.length} times`)
        assert.equal(listed[0]?.ordered, ordered, `${name} is listed with another order than it has`)
      }
      const listed = await offered(context, 'listGroups', looking.listGroups(stage.topic))
      assert.deepEqual([...listed].sort(), [...groups, adhoc].sort())
      assert.deepEqual(await looking.listGroups(other.topic), [other.group])
    },
  },
  {
    number: 108,
    part: 'b',
    title: 'A group is deleted with what waits for it, on request, and its neighbours keep what they have',
    needs: ['severalGroups'],
    async run(context) {
      const groups = [context.unique('kept'), context.unique('deleted')]
      const stage = await context.stage({ topic: { groups } })
      const [kept = '', deleted = ''] = groups
      const sent = await stage.send(5)
      const admin = stage.bus.administration
      await offered(context, 'deleteGroup', admin.deleteGroup(stage.topic, deleted))
      await admin.deleteGroup(stage.topic, deleted)
      await untilMissing(context, stage.topic, deleted)
      const recorder = context.recorder()
      await stage.consume(recorder, { group: kept })
      await context.exactly(recorder, sent)
    },
  },
  {
    number: 108,
    part: 'c',
    title: 'A topic is deleted with its groups and messages, on request, and other topics keep theirs',
    async run(context) {
      const stage = await context.stage()
      const other = await context.stage({ bus: stage.bus })
      await stage.send(3)
      const kept = await other.send(3)
      const admin = stage.bus.administration
      await offered(context, 'deleteTopic', admin.deleteTopic(stage.topic))
      await admin.deleteTopic(stage.topic)
      await untilMissing(context, stage.topic, stage.topic.name)
      const recorder = context.recorder()
      await other.consume(recorder)
      await context.exactly(recorder, kept)
    },
  },
  {
    number: 108,
    part: 'd',
    title: 'A delayed message is cancelled by its id, once, and comes to no group; its neighbours do',
    requires: ['delay'],
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder)
      const delay = context.pace(1500)
      const cancelled = await stage.sendOne({ delay })
      const neighbour = await stage.sendOne({ delay })
      const admin = stage.bus.administration
      const first = await offered(context, 'cancelDelayed', admin.cancelDelayed(stage.topic, cancelled.id))
      assert.equal(first, true, 'the message was there')
      assert.equal(await admin.cancelDelayed(stage.topic, cancelled.id), false, 'it was cancelled before')
      assert.equal(await admin.cancelDelayed(stage.topic, 'never-sent'), false, 'it never was there')
      await context.exactly(recorder, [neighbour])
      assert.equal(await admin.cancelDelayed(stage.topic, neighbour.id), false, 'it is delivered')
    },
  },
  {
    number: 252,
    part: 'a',
    title:
      'The age of the oldest waiting message, where it is told, grows while it waits, and is 0 when nothing does',
    requires: ['stats'],
    async run(context) {
      const stage = await context.stage()
      const age = async () => (await stage.bus.group(stage.topic, stage.group).stats()).oldestWaitingMs
      if ((await age()) === undefined) context.skip('the driver cannot tell without disturbing consumers')
      assert.equal(await age(), 0, 'nothing waits')
      const sentAt = performance.now()
      const first = await stage.sendOne()
      // Clocks of brokers tell milliseconds, and differ a little from this one.
      const toleranceMs = 1000
      const isOlderThan = (ms: number) => async () => ((await age()) ?? 0) > ms
      await context.eventually('it grows', isOlderThan(context.pace(300)))
      const second = await stage.sendOne()
      const seen = (await age()) ?? 0
      assert.ok(seen >= context.pace(300), `with a younger message it is ${seen} ms`)
      const passedMs = performance.now() - sentAt
      assert.ok(seen <= passedMs + toleranceMs, `${seen} ms after ${Math.round(passedMs)}`)
      const recorder = context.recorder()
      await stage.consume(recorder)
      await context.exactly(recorder, [first, second])
      await context.eventually('nothing waits', async () => (await age()) === 0)
    },
  },
  {
    number: 252,
    part: 'b',
    title: 'The time that health tells, where it does, is the one of the machine that both run on',
    async run(context) {
      const bus = await context.bus()
      const { status, driver } = await bus.health()
      assert.equal(status, 'up')
      if (driver.time === undefined) return context.skip('the broker tells no time')
      const apartMs = Math.abs(driver.time - Date.now())
      assert.ok(apartMs <= context.pace(5000), `${apartMs} ms apart`)
    },
  },
]
