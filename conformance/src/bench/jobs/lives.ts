import assert from 'node:assert/strict'
import { isolated, openJobs } from '@waybill/jobs'
import type { Case } from '../../case/case.ts'
import { Latch } from '../../case/latch.ts'
import { siblingModule } from '../../children/sibling-module.ts'
import { connectTo, type EndName } from '../bridge/ends.ts'
import { type Broker, busOver, type Servers, type StoreName, storeOf } from './servers.ts'
import { taskOf } from './tasks.ts'

/** What becomes of jobs over one broker, in one store, when nothing dies. */
export function lives(servers: Servers, end: Broker, kind: StoreName): Case {
  return {
    number: 601,
    part: `${kind}-${end}`.replace(' ', '-'),
    title: `Jobs over ${end}, kept in ${kind}, run, fail and run again, wait for their time and their turn, and are cancelled`,
    timeoutMs: 120_000,
    async run(context) {
      const { store } = await storeOf(context, servers, kind)
      const bus = await busOver(context, servers, end)
      const open = () => {
        const jobs = openJobs({ ...(bus && { bus }), store, poll: '200ms', window: 1 })
        context.defer(() => jobs.close())
        return jobs
      }
      const [jobs, other] = [open(), open()]
      const [Task, Turn] = [taskOf(context.unique('task')), taskOf(context.unique('turn'))]
      const [begun, told] = [new Latch(), new Latch()]
      const runs: string[] = []
      const worker = other
        .worker({ concurrency: 4 })
        .handle(Task, async ({ id, data }, { attempt, signal }) => {
          runs.push(id)
          if (data.kind === 'fail' && attempt < 3) throw new Error(`attempt ${attempt}`)
          if (data.kind === 'wait') {
            signal.addEventListener('abort', () => told.open())
            begun.open()
            await told.passed()
          }
          return { attempt, children: [] }
        })
      // What runs side by side has no order.
      const inTurn = other.worker({ concurrency: 1 }).handle(Turn, ({ id }, { attempt }) => {
        runs.push(id)
        return { attempt, children: [] }
      })
      // What is urgent was added last, before anybody takes any, by the process that sends them, one at a time.
      const turns = await other.addBulk(
        Turn,
        [1, 4, 4, 9].map((priority, index) => ({
          data: { kind: 'quick' as const },
          options: { id: `${Turn.name}/${index}`, priority, delay: 1 },
        })),
      )
      const late = await jobs.add(Task, { kind: 'quick' }, { delay: '1s' })
      const never = await jobs.add(Task, { kind: 'quick' }, { delay: '500ms' })
      assert.equal((await late.get())?.state, 'delayed')
      assert.equal(await never.cancel(), true)
      await worker.start()
      await inTurn.start()

      const failing = await jobs.add(Task, { kind: 'fail' })
      assert.equal((await failing.result({ timeout: '60s' })).attempt, 3)
      const outcomes = (await failing.get())?.history.map(({ attempt, outcome }) => `${attempt} ${outcome}`)
      assert.deepEqual(outcomes, ['1 failed', '2 failed', '3 completed'])

      for (const turn of turns) await turn.result({ timeout: '60s' })
      const order = runs.filter((id) => id.startsWith(Turn.name)).map((id) => id.slice(Turn.name.length))
      assert.deepEqual(order, ['/3', '/1', '/2', '/0'])

      const running = await jobs.add(Task, { kind: 'wait' })
      await context.within('it runs', begun.passed(), 60_000)
      assert.equal(await running.cancel(), true)
      await context.within('it is told', told.passed())

      await late.result({ timeout: '60s' })
      const [first] = (await late.get())?.history ?? []
      assert.ok(first !== undefined && first.startedAt >= ((await late.get())?.dueAt ?? first.endedAt))
      assert.equal(runs.includes(never.id), false)
      assert.equal((await running.get())?.state, 'cancelled')
      const { completed, cancelled, waiting, active } = await jobs.counts()
      assert.deepEqual(
        { completed, cancelled, waiting, active },
        { completed: 6, cancelled: 2, waiting: 0, active: 0 },
      )
    },
  }
}

/** Work in threads and processes, whatever the broker. */
export function isolation(servers: Servers, end: EndName, kind: StoreName): Case {
  return {
    number: 602,
    part: kind,
    title: `What keeps a processor busy holds up nobody in a thread or process of its own, in ${kind}`,
    async run(context) {
      const { store } = await storeOf(context, servers, kind)
      const bus = await connectTo(context, servers.ends[end])
      const jobs = openJobs({ bus, store })
      context.defer(() => jobs.close())
      const module = new URL(siblingModule(import.meta.url, 'busy-work'))
      for (const place of ['thread', 'process'] as const) {
        const Task = taskOf(context.unique(place))
        const worker = jobs.worker({ lease: '1s' }).handle(Task, isolated(module, { in: place }))
        await worker.start()
        const job = await jobs.add(Task, { kind: 'work', ms: 1500 })
        await context.eventually('it runs', async () => (await job.get())?.state === 'active', 60_000)
        let turns = 0
        const turning = setInterval(() => {
          turns += 1
        }, 20)
        assert.deepEqual(await job.result({ timeout: '60s' }), { attempt: 1, children: [] })
        clearInterval(turning)
        assert.ok(turns > 10, `the event loop turned ${turns} times`)
      }
    },
  }
}
