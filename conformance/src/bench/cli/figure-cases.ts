import assert from 'node:assert/strict'
import type { Case } from '../../case/case.ts'
import { expectCode, expectRefusal } from './expect.ts'
import { patienceMs, timeoutMs } from './time-limit.ts'
import { Waybill } from './waybill.ts'

export const figureCases: readonly Case[] = [
  {
    number: 501,
    title: 'topics, groups and stats tell what there is, as JSON and as tables',
    timeoutMs,
    async run(context) {
      const groups = [context.unique('billing'), context.unique('shipping')].slice(
        0,
        context.harness.severalGroups === false ? 1 : 2,
      )
      const stage = await context.stage({ topic: { groups, ordered: true, partitions: 2 } })
      await stage.send(7)
      const waybill = await Waybill.at(context)
      const topics = await waybill.run(['topics'])
      expectCode(topics, 0)
      const mine = topics.rows().find(({ topic }) => topic === stage.topic.name)
      assert.equal(mine?.ordered, true)
      const listed = await waybill.run(['groups', stage.topic.name])
      assert.deepEqual(
        listed.rows(),
        groups.toSorted().map((group) => ({ topic: stage.topic.name, group })),
      )
      await context.eventually(
        'the figures are right',
        async () => {
          const stats = await waybill.run(['stats', stage.topic.name])
          expectCode(stats, 0)
          assert.deepEqual(
            stats.rows().map(({ group, waiting, dead }) => ({ group, waiting, dead })),
            groups.toSorted().map((group) => ({ group, waiting: 7, dead: 0 })),
          )
          return true
        },
        patienceMs,
      )
      const table = await waybill.run(['--no-json', 'stats', stage.topic.name, groups[0] ?? ''])
      assert.match(table.stdout, /^TOPIC +GROUP +WAITING +IN FLIGHT +DELAYED +DEAD +LAG +OLDEST\n/)
      assert.match(table.stdout, new RegExp(`${groups[0]} +7 `))
    },
  },
  {
    number: 502,
    title: 'What does not exist is refused in one sentence that names what there is',
    timeoutMs,
    async run(context) {
      const stage = await context.stage()
      const waybill = await Waybill.at(context)
      const { name } = stage.topic
      const commands = [
        ['stats', name, 'nobody'],
        ['dead', 'list', name, 'nobody'],
        ['dead', 'replay', name, 'nobody', '--all'],
        ['drain', name, 'nobody'],
      ]
      for (const command of commands) {
        expectRefusal(await waybill.run(command), 2, new RegExp(`no group "nobody"; .*${stage.group}`))
      }
      expectRefusal(
        await waybill.run(['tail', 'nowhere']),
        2,
        /no topic "nowhere" at the broker; there (is|are) /,
      )
      expectRefusal(await waybill.run(['dead', 'show', name, stage.group, 'x']), 2, /has no letter "x"/)
    },
  },
  {
    number: 503,
    title: 'drain waits until a group has nothing left to do, and gives up in time',
    timeoutMs,
    async run(context) {
      const stage = await context.stage()
      const waybill = await Waybill.at(context)
      const { name } = stage.topic
      await stage.send(20)
      const late = await waybill.run(['drain', name, stage.group, '--timeout', '1s', '--interval', '200ms'])
      expectRefusal(late, 124, /still has 20 messages to do after 1 s/)
      const recorder = context.recorder()
      const draining = waybill.start(['drain', name, stage.group, '--timeout', '2m', '--interval', '500ms'])
      await stage.consume(recorder, {}, () => context.work(20))
      const finished = await draining.finished
      expectCode(finished, 0)
      assert.equal(finished.rows()[0]?.drained, true)
      await context.eventually('all were handled', () => recorder.deliveries.length === 20)
    },
  },
  {
    number: 504,
    title: 'stats --watch goes on until it is interrupted, and a reader that has seen enough ends it quietly',
    timeoutMs,
    async run(context) {
      const stage = await context.stage()
      const waybill = await Waybill.at(context)
      const watching = waybill.start(['stats', stage.topic.name, stage.group, '--watch', '100ms'])
      await context.eventually('three readings', () => watching.stdout.split('\n').length > 3, patienceMs)
      watching.signal('SIGINT')
      const finished = await context.within('it ends', watching.finished, patienceMs)
      expectCode(finished, 130)
      assert.equal(finished.stderr, '')
      const endless = waybill.start(['stats', stage.topic.name, stage.group, '--watch', '50ms'])
      await context.eventually('a reading', () => endless.stdout.includes('\n'), patienceMs)
      endless.stopReading()
      const quiet = await context.within('it ends by itself', endless.finished, patienceMs)
      expectCode(quiet, 0)
      assert.equal(quiet.stderr, '')
    },
  },
  {
    number: 505,
    title: 'seek moves a group, and is refused where the broker cannot do it',
    timeoutMs,
    async run(context) {
      const { capabilities } = context
      const stage = await context.stage()
      const waybill = await Waybill.at(context)
      const seek = ['seek', stage.topic.name, stage.group]
      if (!capabilities.seek) {
        expectRefusal(await waybill.run([...seek, '--to', 'earliest', '--yes']), 5, /seek/)
        return
      }
      await stage.send(5)
      const recorder = context.recorder()
      const consumer = await stage.consume(recorder)
      await context.eventually('all are handled', () => recorder.deliveries.length === 5)
      await consumer.stop()
      expectCode(await waybill.run([...seek, '--to', 'earliest', '--dry-run']), 0)
      expectRefusal(await waybill.run([...seek, '--to', 'earliest']), 2, /add --yes/)
      expectRefusal(await waybill.run([...seek, '--to', 'tomorrow']), 2, /is no position/)
      const waiting = async () => (await stage.bus.group(stage.topic, stage.group).stats()).waiting
      await context.eventually('none waits', async () => (await waiting()) === 0)
      expectCode(await waybill.run([...seek, '--to', 'earliest', '--yes']), 0)
      await context.eventually('they wait again', async () => (await waiting()) === 5)
      expectCode(await waybill.run([...seek, '--to', 'latest', '--yes']), 0)
      await context.eventually('none waits', async () => (await waiting()) === 0)
    },
  },
]
