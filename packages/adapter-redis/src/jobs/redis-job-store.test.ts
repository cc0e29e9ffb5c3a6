import { connect, fixed } from '@waybill/core'
import { defineJob, flowStep, type JobRow, type JobRows, openJobs } from '@waybill/jobs'
import { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { jobKeys } from './job-keys.ts'
import { placesOf } from './places.ts'
import { redisJobStore } from './redis-job-store.ts'
import { fromRevised, rowInHead } from './stored-job.ts'

const { TEST_REDIS: url } = process.env

const rowOf = (id: string, now: number): JobRow => ({
  ...{ id, queue: 'work', name: 'work', state: 'waiting', priority: 4, ordinal: 1, run: 1, version: 1 },
  ...{ dueAt: now, sendAt: now, isSent: false, createdAt: now, updatedAt: now, data: '1' },
  ...{
    owner: undefined,
    leaseUntil: undefined,
    parent: undefined,
    finishedAt: undefined,
    removeAt: undefined,
  },
  ...{ output: undefined, progress: undefined },
  attempt: 0,
  startedAt: undefined,
  details: { attempts: 1, history: [], log: [], keepMs: { completed: 0, failed: 0 } },
})

test('a name that is none is refused', () => {
  expect(() => redisJobStore('redis://localhost', { store: 'a:b' })).toThrow('store: ')
})

describe.skipIf(url === undefined)('on TEST_REDIS', () => {
  test('as many jobs as are allowed are written in one step, and more are refused', async () => {
    await using store = redisJobStore(url ?? '', { store: `many_${Date.now().toString(36)}` })
    const most = 5000
    const insert = (count: number) =>
      store.transaction((rows) => {
        const late = rows.now + 3_600_000
        const all = Array.from({ length: count }, (_, n) => ({
          ...rowOf(`job/${n}`, rows.now),
          dueAt: late,
          sendAt: late,
        }))
        return rows.insert(all.map((row) => ({ ...row, parent: 'flow', output: '1', progress: '1' })))
      })
    await expect(insert(most + 1)).rejects.toMatchObject({ code: 'rejected' })
    await insert(most)
    expect(await store.counts({})).toMatchObject({ waiting: 0, delayed: most })
    expect(await store.list({ parent: 'flow' }, 2 * most)).toHaveLength(most)
  })
})

describe.skipIf(url === undefined)('on TEST_REDIS', () => {
  test('a worker learns which of many jobs are still its own', async () => {
    await using store = redisJobStore(url ?? '', { store: `owned_${Date.now().toString(36)}` })
    await store.transaction((rows) =>
      rows.insert([{ ...rowOf('mine', rows.now), state: 'active', owner: 'me', leaseUntil: rows.now }]),
    )
    // As many as one worker may run; a script takes fewer values at once.
    const ids = [...Array.from({ length: 10_000 }, (_, n) => `job/${n}`), 'mine']
    expect(await store.owned('me', ids)).toEqual(new Set(['mine']))
  })

  test('jobs that are large begin as many at once as small ones', async () => {
    await using store = redisJobStore(url ?? '', { store: `large_${Date.now().toString(36)}` })
    const data = JSON.stringify('x'.repeat(600_000))
    await store.transaction((rows) =>
      rows.insert(Array.from({ length: 5 }, (_, n) => ({ ...rowOf(`job/${n}`, rows.now), data }))),
    )
    const of = { queue: 'work', names: ['work'], isSent: false }
    const lease = { owner: 'worker', leaseMs: 1000 }
    const begin = (limit: number) => store.transaction(async (rows) => rows.beginDue?.(of, limit, lease))
    expect(await begin(4)).toHaveLength(4)
    expect(await begin(4)).toHaveLength(1)
  })
})

// A cluster has the same scripts, and is looked at by more than one connection.
describe.skipIf(url === undefined)('on TEST_REDIS', () => {
  test('who counts what runs of a queue starts over when another has sent of it meanwhile', async () => {
    await using store = redisJobStore(url ?? '', { store: `count_${Date.now().toString(36)}` })
    const insert = (rows: JobRows) => rows.insert(['a', 'b'].map((id) => rowOf(id, rows.now)))
    await store.transaction(insert)
    const send = async (rows: JobRows, id: string) =>
      rows.update((await rows.lock([id])).map((row) => ({ ...row, isSent: true })))
    let tries = 0
    await store.transaction(async (rows) => {
      tries += 1
      const running = await rows.running('work')
      if (tries === 1) {
        await store.transaction(async (others) => {
          await others.running('work')
          await send(others, 'a')
        })
      }
      if (running === 0) await send(rows, 'b')
    })
    expect(tries).toBe(2)
    expect((await store.find(['a', 'b'])).map(({ isSent }) => isSent)).toEqual([true, false])
  })
})

// A cluster has the same scripts, and is looked at by more than one connection.
describe.skipIf(url === undefined || url.includes('cluster'))('on a single TEST_REDIS', () => {
  const plain = (name: string) => defineJob(name, { input: z.number() })

  async function remove(pattern: string): Promise<void> {
    const client = new Redis(url ?? '')
    try {
      for (const key of await client.keys(pattern)) await client.del(key)
    } finally {
      client.disconnect()
    }
  }

  test('a store that is emptied beneath those who use it is counted anew', async () => {
    const name = `emptied_${Date.now().toString(36)}`
    await using store = redisJobStore(url ?? '', { store: name })
    await using other = redisJobStore(url ?? '', { store: name })
    await using jobs = openJobs({ store })
    await using others = openJobs({ store: other })
    await jobs.add(plain('before'), 1)
    expect(await jobs.counts()).toMatchObject({ waiting: 1 })
    await remove(`waybill:jobs:{${name}}:*`)
    await others.addBulk(plain('after'), [{ data: 1 }, { data: 2 }])
    expect(await jobs.counts()).toMatchObject({ waiting: 2 })
  })

  test('jobs that the server has thrown away keep no others from running', async () => {
    const name = `evicted_${Date.now().toString(36)}`
    await using store = redisJobStore(url ?? '', { store: name })
    await using jobs = openJobs({ store, poll: '20ms' })
    const Kept = plain('kept')
    await jobs.addBulk(Kept, [{ data: 1 }, { data: 2 }, { data: 3 }])
    await remove(jobKeys('waybill', name).heads.replaceAll(/[{}]/g, '?'))
    const worker = jobs.worker({ concurrency: 2 }).handle(Kept, async ({ data }) => data)
    await worker.start()
    const job = await jobs.add(Kept, 4)
    expect(await job.result({ timeout: '30s' })).toBe(4)
    expect(worker.health()).toMatchObject([{ state: 'running' }])
  })

  test('three processes that change the same jobs leave every set as the jobs say', async () => {
    const name = `audit_${Date.now().toString(36)}`
    await using bus = await connect({ url: 'memory:', console: false })
    const Task = defineJob('task', {
      input: z.object({ n: z.number() }),
      retry: { attempts: 2, backoff: fixed(1) },
      removeAfter: { count: 20 },
    })
    const stores = [1, 2, 3].map(() => redisJobStore(url ?? '', { store: name }))
    // Two of them get jobs by messages, the third takes them from the store.
    const all = stores.map((store, index) =>
      openJobs({ ...(index < 2 && { bus }), store, poll: '20ms', resendAfter: '1s' }),
    )
    for (const jobs of all) {
      const worker = jobs.worker({ concurrency: 5 }).handle(Task, async ({ data }, { progress }) => {
        progress(data.n)
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 5))
        if (Math.random() < 0.3) throw new Error('at random')
        return { n: data.n }
      })
      await worker.start()
    }
    const one = <Value>(values: readonly Value[]): Value =>
      values[Math.floor(Math.random() * values.length)] as Value
    const modes = ['ignore', 'replace', 'debounce', 'throttle'] as const
    const change = async (n: number): Promise<unknown> => {
      const jobs = one(all)
      const id = `task/${Math.floor(Math.random() * 60)}`
      switch (n % 8) {
        case 0:
          return await jobs.cancel(id)
        case 1:
          return await jobs.retry(id)
        case 2:
          return await jobs.promote(id)
        case 3:
          return await jobs.update(Task, id, { data: { n }, delay: Math.random() * 20, priority: n % 10 })
        case 4:
          return await jobs.addFlow(
            flowStep(
              Task,
              { n },
              { children: [flowStep(Task, { n }), flowStep(Task, { n }, { onFailure: 'ignore' })] },
            ),
          )
        case 5: {
          const deduplicate = { key: `key/${n % 3}`, mode: one(modes), window: 10 }
          return await jobs.add(Task, { n }, { deduplicate, delay: Math.random() * 10 })
        }
        default:
          return await jobs.add(
            Task,
            { n },
            { id, priority: n % 10, delay: Math.random() * 30, removeAfter: 50 },
          )
      }
    }
    for (let round = 0; round < 40; round += 1) {
      await Promise.all(Array.from({ length: 16 }, (_, index) => change(round * 16 + index)))
      if (round % 5 === 0) await one(stores).removeExpired(100)
      if (round % 7 === 0) await one(stores).removeBeyond('task', 'completed', 20, 100)
    }
    for (const jobs of all) await jobs.close()
    const keys = jobKeys('waybill', name)
    const client = new Redis(url ?? '')
    try {
      const heads = await client.hgetall(keys.heads)
      const expected = new Map<string, Map<string, number>>()
      for (const [id, value] of Object.entries(heads)) {
        const { isLate, ...head } = rowInHead(fromRevised(value).json)
        const lease = await client.zscore(keys.leases, id)
        const row: JobRow = { ...head, leaseUntil: lease === null ? undefined : Number(lease) }
        expect(row.leaseUntil !== undefined).toBe(row.state === 'active')
        for (const { key, member, score } of placesOf(keys, row, isLate))
          expected.set(key, (expected.get(key) ?? new Map()).set(member, score))
      }
      const bookkeeping = [keys.held, keys.scheduleIds, keys.scheduleTimes]
      const sets = (await client.keys(`waybill:jobs:{${name}}:*`)).sort()
      const found = new Map<string, Map<string, number>>()
      for (const key of sets) {
        if ((await client.type(key)) !== 'zset' || bookkeeping.includes(key)) continue
        const flat = await client.zrange(key, '0', '-1', 'WITHSCORES')
        found.set(
          key,
          new Map(
            flat.flatMap((member, index) => (index % 2 === 0 ? [[member, Number(flat[index + 1])]] : [])),
          ),
        )
      }
      // Many jobs are gone by time already, the more so the slower this is.
      expect(Object.keys(heads).length).toBeGreaterThan(20)
      expect(found).toEqual(expected)
      const counts = await stores[0]?.counts({})
      expect(Object.values(counts ?? {}).reduce((sum, each) => sum + each, 0)).toBe(Object.keys(heads).length)
      const fields = Object.keys(await client.hgetall(keys.texts))
      expect(fields.filter((field) => !(field.slice(2) in heads))).toEqual([])
      const holders = Object.values(await client.hgetall(keys.holders)).map((value) =>
        JSON.parse(fromRevised(value).json),
      )
      for (const { job, until } of holders) expect(until !== undefined || job in heads).toBe(true)
    } finally {
      for (const key of await client.keys(`waybill:jobs:{${name}}:*`)) await client.del(key)
      client.disconnect()
      for (const store of stores) await store.close()
    }
  })
})
