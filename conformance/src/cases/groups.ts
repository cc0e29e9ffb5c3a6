import assert from 'node:assert/strict'
import type { Bus, Message } from '@waybill/core'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'

const members = ['first', 'second', 'third', 'fourth']

async function busPerMember(context: CaseContext, names: readonly string[]): Promise<Map<string, Bus>> {
  return new Map(
    await Promise.all(names.map(async (name): Promise<[string, Bus]> => [name, await context.bus()])),
  )
}

export const groups: readonly Case[] = [
  {
    number: 13,
    title: 'Four members of a group share its messages: each is delivered once, each member gets some',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      for (const [member, bus] of await busPerMember(context, members)) {
        await stage.consume(recorder, { member, bus, concurrency: 2, prefetch: 4 }, () => context.work(5))
      }
      await context.exactly(recorder, await stage.send(200))
      for (const member of members) {
        assert.ok(recorder.byMember(member).length > 0, `the ${member} member got nothing`)
      }
    },
  },
  {
    number: 14,
    title: 'Two groups get every message each',
    needs: ['severalGroups'],
    async run(context) {
      const stage = await context.stage({ topic: { groups: [context.unique('one'), context.unique('two')] } })
      const recorders = stage.topic.groups.map(({ name }) => ({ group: name, recorder: context.recorder() }))
      for (const { group, recorder } of recorders) await stage.consume(recorder, { group })
      const sent = await stage.send(50)
      for (const { recorder } of recorders) await context.exactly(recorder, sent)
    },
  },
  {
    number: 15,
    title: 'A group whose consumers were away finds what was sent meanwhile, and nothing it had before',
    async run(context) {
      const stage = await context.stage()
      const before = context.recorder()
      const consumer = await stage.consume(before)
      await context.exactly(before, await stage.send(5))
      await consumer.stop()
      const meanwhile = await stage.send(20)
      const after = context.recorder()
      await stage.consume(after)
      await context.exactly(after, [...meanwhile, await stage.sendOne()])
      assert.equal(before.deliveries.length, 5)
    },
  },
  {
    number: 16,
    part: 'a',
    title: 'A new group starts with the earliest or the latest message, as asked',
    requires: ['replay'],
    async run(context) {
      const stage = await context.stage()
      const old = await stage.send(10)
      const earliest = context.recorder()
      const latest = context.recorder()
      const groups = { earliest: context.unique('earliest'), latest: context.unique('latest') }
      const asNew = { allowUndeclaredGroup: true }
      await stage.consume(earliest, { ...asNew, group: groups.earliest, from: 'earliest' })
      await stage.consume(latest, { ...asNew, group: groups.latest, from: 'latest' })
      const fresh = await stage.send(5)
      await context.exactly(earliest, [...old, ...fresh])
      await context.exactly(latest, fresh)
    },
  },
  {
    number: 16,
    part: 'b',
    title: 'A group seeks back to the earliest message, to a time, and forward to the end',
    requires: ['seek'],
    async run(context) {
      const stage = await context.stage()
      const { bus, topic, group } = stage
      const early = await stage.send(10)
      const boundary = new Date(Date.now() + 20)
      await context.eventually('the clock passes the boundary', () => Date.now() > boundary.getTime() + 20)
      const late = await stage.send(10)
      const delivered = async (expected: readonly Message[]) => {
        const recorder = context.recorder()
        const consumer = await stage.consume(recorder)
        const control = await stage.sendOne()
        await context.exactly(recorder, [...expected, control])
        await consumer.stop()
        return control
      }
      const controls = [await delivered([...early, ...late])]
      await bus.group(topic, group).seek({ to: 'time', time: boundary })
      controls.push(await delivered([...late, ...controls]))
      await bus.group(topic, group).seek({ to: 'earliest' })
      controls.push(await delivered([...early, ...late, ...controls]))
      await stage.send(3)
      await bus.group(topic, group).seek({ to: 'latest' })
      await delivered([])
    },
  },
  {
    number: 16,
    part: 'c',
    title: 'A group seeks to an offset of each partition',
    requires: ['seek'],
    async run(context) {
      const stage = await context.stage()
      const position = stage.bus.group(stage.topic, stage.group)
      await stage.send(10)
      const { partitions } = await position.stats()
      if (partitions === undefined) return context.skip('the broker tells no offsets')
      const late = await stage.send(10)
      const recorder = context.recorder()
      const consumer = await stage.consume(recorder)
      await context.eventually('all is delivered', () => recorder.deliveries.length === 20)
      await consumer.stop()
      for (const { partition, end } of partitions)
        await position.seek({ to: 'offset', offset: end, partition })
      const again = context.recorder()
      await stage.consume(again)
      await context.exactly(again, late)
    },
  },
  {
    number: 17,
    title: 'Stopping one consumer leaves its siblings in the group and in other groups untouched',
    needs: ['severalGroups'],
    async run(context) {
      const stage = await context.stage({ topic: { groups: [context.unique('one'), context.unique('two')] } })
      const [one, two] = stage.topic.groups
      assert.ok(one && two)
      const atOne = context.recorder()
      const atTwo = context.recorder()
      const leaving = await stage.consume(atOne, { group: one.name, member: 'leaving' })
      await stage.consume(atOne, { group: one.name, member: 'staying' })
      await stage.consume(atTwo, { group: two.name })
      const before = await stage.send(20)
      await context.exactly(atOne, before)
      await leaving.stop()
      const after = await stage.send(20)
      await context.exactly(atOne, [...before, ...after])
      await context.exactly(atTwo, [...before, ...after])
      assert.equal(
        atOne.byMember('leaving').filter(({ id }) => after.some((message) => message.id === id)).length,
        0,
      )
    },
  },
  {
    number: 18,
    title: 'A broadcast reaches every instance once, and keeps nothing for instances to come',
    requires: ['broadcast'],
    async run(context) {
      const stage = await context.stage()
      const instances = await busPerMember(context, members.slice(0, 3))
      const recorders = await Promise.all(
        [...instances].map(async ([member, bus]) => {
          const recorder = context.recorder()
          await stage.consume(recorder, { member, bus, broadcast: true })
          return recorder
        }),
      )
      const sent = await stage.send(30)
      for (const recorder of recorders) await context.exactly(recorder, sent)
      const newcomer = context.recorder()
      await stage.consume(newcomer, { broadcast: true })
      await context.exactly(newcomer, [await stage.sendOne()])
    },
  },
]
