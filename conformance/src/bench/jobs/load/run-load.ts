import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { adapter } from '@waybill/adapter-redis'
import { connect } from '@waybill/core'
import { openJobs } from '@waybill/jobs'
import { Program } from '../../programs/program.ts'
import { randomFrom } from '../../programs/random.ts'
import { openStore, type StorePlace } from '../servers.ts'
import { effectsIn } from './effects.ts'
import { Load } from './load-job.ts'

export interface LoadOptions {
  /** The bundle of `load-program.ts`. */
  readonly program: string
  readonly store: StorePlace
  /** The URL of the Redis that hands the jobs out; null: workers take them from the store. */
  readonly broker: string | null
  readonly jobs: number
  /** Which jobs fail, and when which worker is killed, follows from it. */
  readonly seed: number
  /** How long a handler takes. */
  readonly handleMs: number
  /** The longest time between two kills. */
  readonly killEveryMs: number
  readonly timeoutMs: number
  readonly report?: (line: string) => void
}

export interface LoadFigures {
  readonly kills: number
  readonly looks: number
  /** Attempts whose worker was killed, of the jobs that were looked at afterwards. */
  readonly lost: number
  readonly seconds: number
}

const workers = 3
const bulkSize = 1000
const lookEveryMs = 500

/**
 * Adds jobs, one of a hundred of which fails, while three worker processes are killed at random moments and started anew. Every other
 * job has its effect exactly once, and the counts add up at every look.
 *
 * @throws {AssertionError} when that is not so, or it takes longer than `timeoutMs`.
 */
export async function runLoad(options: LoadOptions): Promise<LoadFigures> {
  const {
    program,
    store: place,
    broker,
    jobs: total,
    seed,
    timeoutMs,
    handleMs,
    killEveryMs,
    report = () => {},
  } = options
  const random = randomFrom(seed)
  const failing = Math.floor(random() * 100)
  const fails = (n: number) => n % 100 === failing
  const bad = Array.from({ length: total }, (_, n) => n).filter(fails).length
  await using opened = openStore(place)
  await opened.database?.migrate()
  await using effects = effectsIn(place, opened)
  await effects.prepare()
  const bus = broker === null ? undefined : await connect({ url: broker, adapter, console: false })
  const jobs = openJobs({ ...(bus && { bus }), store: opened.store, resendAfter: '10s' })
  const start = () => new Program(program, { store: place, broker, handleMs })
  let running = Array.from({ length: workers }, start)
  const startedAt = performance.now()
  const over = () => performance.now() - startedAt > timeoutMs
  let [begun, added, looks, kills] = [0, 0, 0, 0]
  let isDone = false

  const add = async () => {
    while (begun < total) {
      const from = begun
      begun = Math.min(total, from + bulkSize)
      const items = Array.from({ length: begun - from }, (_, index) => from + index)
      await jobs.addBulk(
        Load,
        items.map((n) => ({ data: { n, fails: fails(n) } })),
      )
      added = begun
    }
  }
  const look = async () => {
    while (!isDone) {
      const least = added
      const counts = await jobs.counts({ name: Load.name })
      const sum = Object.values(counts).reduce((all, count) => all + count, 0)
      assert.ok(
        least <= sum && sum <= begun,
        `${sum} jobs are in some state, added were ${least} to ${begun}`,
      )
      const { completed, failed, active } = counts
      assert.ok(
        completed <= total - bad && failed <= bad,
        `${completed} completed, ${failed} failed: too many`,
      )
      looks += 1
      if (looks % 20 === 0)
        report(`${completed} completed, ${failed} failed, ${active} active, ${kills} kills`)
      isDone = completed + failed === total
      assert.ok(!over(), `not done after ${timeoutMs} ms: ${JSON.stringify(counts)}`)
      await sleep(lookEveryMs)
    }
  }
  const kill = async () => {
    while (!isDone) {
      await sleep(random() * killEveryMs)
      const victim = running[Math.floor(random() * running.length)]
      if (isDone || victim === undefined) return
      await victim.ready
      await victim.kill()
      kills += 1
      running = [...running.filter((each) => each !== victim), start()]
    }
  }
  try {
    await Promise.all([add(), look(), kill()])
    const seconds = (performance.now() - startedAt) / 1000
    const { completed, failed, ...others } = await jobs.counts({ name: Load.name })
    const left = Object.values(others).reduce((all, count) => all + count, 0)
    assert.deepEqual({ completed, failed, left }, { completed: total - bad, failed: bad, left: 0 })
    assert.deepEqual(await effects.count(), { effects: total - bad, jobs: total - bad })
    return { kills, looks, lost: await lostAttempts(opened), seconds }
  } finally {
    isDone = true
    await Promise.all(running.map((each) => each.kill()))
    await jobs.close()
    await bus?.close()
  }
}

/** Of the latest jobs: each one completed once, however often its worker was killed. */
async function lostAttempts({ store }: ReturnType<typeof openStore>): Promise<number> {
  let lost = 0
  let after: Parameters<typeof store.list>[2]
  for (;;) {
    const rows = await store.list({ name: Load.name }, 1000, after)
    const last = rows.at(-1)
    if (last === undefined) return lost
    for (const { id, state, details } of rows) {
      const outcomes = details.history.map(({ outcome }) => outcome)
      const ended = outcomes.filter((outcome) => outcome === 'completed' || outcome === 'failed')
      assert.deepEqual(ended, [state], `${id}: ${outcomes.join(', ')}`)
      lost += outcomes.filter((outcome) => outcome === 'lost').length
    }
    after = { at: last.createdAt, id: last.id }
  }
}
