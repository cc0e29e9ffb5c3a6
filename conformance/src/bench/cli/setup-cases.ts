import assert from 'node:assert/strict'
import { defineTopic } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import { expectCode, expectRefusal } from './expect.ts'
import { timeoutMs } from './time-limit.ts'
import { Waybill } from './waybill.ts'

export const setupCases: readonly Case[] = [
  {
    number: 531,
    title: 'plan tells what is missing and what differs, apply makes the one and leaves the other',
    timeoutMs,
    async run(context) {
      const waybill = await Waybill.at(context)
      const name = context.unique('planned')
      const group = context.unique('group')
      const wanted = await waybill.definitions({ name, options: { groups: [group] } })
      const statusOf = async (command: string, definitions: string, code: number) => {
        const finished = await waybill.run([command, '--definitions', definitions])
        expectCode(finished, code)
        return finished.rows().map(({ topic, status }) => [topic, status])
      }
      const bus = await context.bus()
      const exists = async () => (await bus.administration.listTopics()).some((topic) => topic.name === name)
      assert.deepEqual(await statusOf('plan', wanted, 1), [[name, 'missing']])
      assert.equal(await exists(), false)
      assert.deepEqual(await statusOf('apply', wanted, 0), [[name, 'created']])
      assert.equal(await exists(), true)
      assert.deepEqual(await statusOf('plan', wanted, 0), [[name, 'exists']])
      const other = await waybill.definitions({
        name,
        options: { groups: [group], ordered: true, partitions: 3 },
      })
      assert.deepEqual(await statusOf('plan', other, 1), [[name, 'differs']])
      assert.deepEqual(await statusOf('apply', other, 1), [[name, 'differs']])
      const [listed] = (await bus.administration.listTopics()).filter((topic) => topic.name === name)
      assert.equal(listed?.ordered, false)
      expectRefusal(await waybill.run(['plan']), 2, /--definitions/)
      expectRefusal(await waybill.run(['plan', '-d', './nowhere.mjs']), 2, /could not be loaded/)
    },
  },
  {
    number: 532,
    title: 'doctor tries everything out, leaves nothing behind, and tells of a feature that is lacking',
    timeoutMs,
    async run(context) {
      const waybill = await Waybill.at(context)
      const lacking = (['seek', 'priority', 'broadcast'] as const).find((each) => !context.capabilities[each])
      const requires = ['--requires', 'ordered', ...(lacking === undefined ? [] : ['--requires', lacking])]
      const finished = await waybill.run(['doctor', ...requires])
      expectCode(finished, lacking === undefined ? 0 : 1)
      const failed = finished
        .rows()
        .filter(({ status }) => status === 'failed')
        .map(({ check }) => check)
      assert.deepEqual(failed, lacking === undefined ? [] : [`feature ${lacking}`])
      const statusOf = (check: string) => finished.rows().find((row) => row.check === check)?.status
      for (const check of [
        'send and receive',
        'retry',
        'delayed send',
        'dead letter',
        'replay',
        'remove the topic',
      ]) {
        assert.equal(statusOf(check), 'ok', `${check}:\n${finished.stdout}`)
      }
      const bus = await context.bus()
      const made = finished.rows().find(({ check }) => check === 'make a topic with a group')?.detail
      const left = (await bus.administration.listTopics()).filter(({ name }) => name === made)
      assert.deepEqual(left, [])
      expectRefusal(await waybill.run(['doctor', '--requires', 'magic']), 2, /no feature "magic"; there are /)
    },
  },
  {
    number: 533,
    title:
      'A missing right, wrong credentials and a broker that is away are told in one sentence without the password',
    timeoutMs,
    async run(context) {
      const { wrong } = context.harness
      const urlOf = (options: { readonly url?: string }) => String(options.url)
      if (wrong?.credentials !== undefined) {
        const url = urlOf(wrong.credentials.options).replace(':wrong@', ':wr0ng-secret@')
        const refused = await (await Waybill.at(context, { url })).run(['topics'])
        expectRefusal(refused, 4, /nobody/)
        assert.doesNotMatch(refused.stderr, /wr0ng-secret/)
      }
      if (wrong?.rights !== undefined) {
        const powerless = await Waybill.at(context, { url: urlOf(await wrong.rights()) })
        const doctor = await powerless.run(['doctor'])
        const failed = doctor.rows().filter(({ status }) => status === 'failed')
        assert.equal(failed[0]?.check, 'make a topic with a group', doctor.stdout + doctor.stderr)
        assert.equal(doctor.code, 1)
      }
      if (wrong?.address === undefined) return
      const away = await Waybill.at(context, { url: urlOf(wrong.address.options) })
      expectRefusal(await away.run(['topics', '--connect-timeout', '1s']), 3, /No connection to /)
    },
  },
  {
    number: 534,
    title: 'A topic of the definitions that the broker does not list is refused, and made by nobody',
    timeoutMs,
    async run(context) {
      const waybill = await Waybill.at(context)
      const topic = defineTopic(context.unique('unmade'))
      const definitions = await waybill.definitions({ name: topic.name, options: { groups: ['g'] } })
      const args = ['send', topic.name, '-t', 'number.sent', '--data', '{"n":1}', '-d', definitions]
      expectRefusal(await waybill.run(args), 2, /There is no topic/)
      const bus = await context.bus()
      const names = (await bus.administration.listTopics()).map(({ name }) => name)
      assert.ok(!names.includes(topic.name))
    },
  },
]
