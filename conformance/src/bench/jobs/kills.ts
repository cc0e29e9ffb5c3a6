import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { flowStep, inSequence, openJobs } from '@waybill/jobs'
import type { Case } from '../../case/case.ts'
import { connectTo, type End, type EndName } from '../bridge/ends.ts'
import { Program } from '../programs/program.ts'
import { chooseSeed, killCount, randomFrom } from '../programs/random.ts'
import {
  type Broker,
  busOver,
  effectsOf,
  type OpenedStore,
  type Servers,
  type StoreName,
  storeOf,
} from './servers.ts'
import { taskOf } from './tasks.ts'

/** The lease of the workers, and how often their stores are looked at, in `job-program.ts`. */
const leaseMs = 1000
const pollMs = 250

/** Where the bundle of `job-program.ts` is. */
export type ProgramOf = () => Promise<string>

/** A worker dies with a job in hand. */
export function deadWorker(servers: Servers, program: ProgramOf, end: Broker, kind: StoreName): Case {
  return {
    number: 603,
    part: `${kind}-${end}`.replace(' ', '-'),
    title: `What a killed worker had runs again, over ${end} and in ${kind}, in the time that the driver states and with the attempt counted; a long job keeps its lease`,
    timeoutMs: 120_000,
    async run(context) {
      const { store, database, place } = await storeOf(context, servers, kind)
      await makeEffects(database)
      const Task = taskOf(context.unique('task'))
      const bus = await busOver(context, servers, end)
      const jobs = openJobs({ ...(bus && { bus }), store })
      context.defer(() => jobs.close())
      const queues = { [Task.queue]: end === 'no broker' ? null : plain(servers.ends[end]) }
      const settings = { store: place, queues }
      const path = await program()
      const start = async () => {
        const each = new Program(path, settings)
        context.defer(() => each.kill())
        await each.ready
        return each
      }
      const doomed = await start()
      const job = await jobs.add(Task, { kind: 'hang' })
      await context.eventually('it runs', async () => (await job.get())?.state === 'active', 60_000)
      await start()
      const killedAt = performance.now()
      await doomed.kill()
      assert.equal((await job.result({ timeout: '60s' })).attempt, 2)
      const tookMs = performance.now() - killedAt
      const statedMs = leaseMs + pollMs + (bus?.capabilities.redeliveryMs ?? 0) + 1000
      assert.ok(
        tookMs <= statedMs + context.slackMs,
        `it took ${Math.round(tookMs)} ms, stated are ${statedMs}`,
      )
      const long = await jobs.add(Task, { kind: 'work', ms: 3 * leaseMs })
      await long.result({ timeout: '60s' })
      const outcomes = async (id: string) => (await jobs.get(id))?.history.map(({ outcome }) => outcome)
      assert.deepEqual(
        [await outcomes(job.id), await outcomes(long.id)],
        [['lost', 'completed'], ['completed']],
      )
    },
  }
}

/** A flow over two brokers, whose workers are killed again and again. */
export function killedFlow(
  servers: Servers,
  program: ProgramOf,
  [one, other]: readonly [EndName, EndName],
  kind: StoreName,
): Case {
  return {
    number: 604,
    part: kind,
    title: `A flow over ${one} and ${other}, kept in ${kind}, loses no step and does none twice, though its workers are killed between steps`,
    timeoutMs: 180_000,
    async run(context) {
      const opened = await storeOf(context, servers, kind)
      await makeEffects(opened.database)
      const [First, Second] = [taskOf(context.unique('first')), taskOf(context.unique('second'))]
      const ends = { [First.queue]: plain(servers.ends[one]), [Second.queue]: plain(servers.ends[other]) }
      const [bus, second] = [
        await connectTo(context, servers.ends[one]),
        await connectTo(context, servers.ends[other]),
      ]
      const jobs = openJobs({ bus, buses: { [Second.queue]: second }, store: opened.store })
      context.defer(() => jobs.close())
      const work = { kind: 'work', ms: 300 } as const
      const leaves = [First, Second, First].map((task) => flowStep(task, work))
      const flow = inSequence([
        flowStep(First, work, { children: leaves }),
        flowStep(Second, work),
        flowStep(First, work),
      ])
      const last = await jobs.addFlow(flow, { id: context.unique('flow') })
      const path = await program()
      const seed = chooseSeed()
      const random = randomFrom(seed)
      const start = () => new Program(path, { store: opened.place, queues: ends })
      let running = [start(), start()]
      context.defer(() => Promise.all(running.map((each) => each.kill())))
      let kills = 0
      for (const most = killCount(6); kills < most && (await last.get())?.state !== 'completed'; kills += 1) {
        const [victim, ...others] = running
        await victim?.ready
        await sleep(random() * 500)
        await victim?.kill()
        running = [...others, start()]
      }
      const { children } = await last.result({ timeout: '120s' })
      console.log(`  flow over ${one} and ${other} in ${kind}: ${kills} kills, seed ${seed}`)
      const { jobs: all } = await jobs.list()
      assert.equal(all.length, 6)
      assert.ok(kills > 1, 'it was over before its workers could be killed')
      for (const job of all) {
        assert.equal(job.state, 'completed', job.id)
        const completed = job.history.filter(({ outcome }) => outcome === 'completed')
        assert.equal(completed.length, 1, job.id)
      }
      assert.equal(children.length, 1)
      await oneEffectEach(
        opened,
        all.map(({ id }) => id),
      )
    },
  }
}

async function makeEffects(database: OpenedStore['database']): Promise<void> {
  if (database !== undefined) await database.query(`CREATE TABLE ${effectsOf(database)} (job text)`)
}

/** With a database each effect is written in the transaction that completes its job. */
async function oneEffectEach({ database }: OpenedStore, ids: readonly string[]): Promise<void> {
  if (database === undefined) return
  const rows = await database.query<{ job: string }>(`SELECT job FROM ${effectsOf(database)}`)
  assert.deepEqual(rows.map(({ job }) => job).sort(), [...ids].sort())
}

/** Two schedulers, one of which is killed again and again. */
export function killedSchedulers(servers: Servers, program: ProgramOf, kind: StoreName): Case {
  return {
    number: 605,
    part: kind,
    title: `Of two schedulers that are killed in turns, each tick is made exactly once, in ${kind}`,
    timeoutMs: 120_000,
    async run(context) {
      const { store, place } = await storeOf(context, servers, kind)
      const path = await program()
      const everyMs = 200
      const start = () => new Program(path, { store: place, queues: {}, everyMs })
      let running = [start(), start()]
      context.defer(() => Promise.all(running.map((each) => each.kill())))
      const random = randomFrom(chooseSeed())
      for (let kill = 0; kill < killCount(6); kill += 1) {
        const [victim, ...others] = running
        await victim?.ready
        await sleep(random() * 800)
        await victim?.kill()
        running = [...others, start()]
      }
      await Promise.all(running.map((each) => each.kill()))
      const rows = await store.list({ name: 'tick' }, 10_000)
      const times = rows
        .map(({ id }) => new Date(id.slice('schedule:ticks:'.length)).getTime())
        .sort((one, other) => one - other)
      const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0))
      assert.ok(gaps.length >= 5, `there were ${gaps.length + 1} ticks`)
      assert.deepEqual([...new Set(gaps)], [everyMs])
    },
  }
}

function plain({ name, url, native }: End): End {
  return { name, url, native }
}
