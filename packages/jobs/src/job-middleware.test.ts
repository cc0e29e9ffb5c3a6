import { AsyncLocalStorage } from 'node:async_hooks'
import { connect, PermanentError } from '@waybill/core'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineJob } from './definition.ts'
import { flowStep } from './flows/flow-step.ts'
import type { JobRun } from './job-middleware.ts'
import { openJobs } from './jobs.ts'
import { memoryJobStore } from './memory/memory-job-store.ts'
import { storeAround, stores } from './stores.fixture.ts'

const Say = defineJob('say', {
  input: z.object({ text: z.string() }),
  output: z.string(),
  retry: { attempts: 2, backoff: () => 1 },
})

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

for (const testStore of stores()) {
  test(`${testStore.name}: what middleware gives a job goes to where the job runs, at each attempt`, async () => {
    const { jobs, another } = await testStore.open()
    const counts: number[] = []
    jobs.use({
      add: async (addition, next) => {
        counts.push(addition.count)
        addition.trace = { traceparent }
        await next()
      },
    })
    const other = await another()
    const runs: JobRun[] = []
    other.use({
      handle: async (run, next) => {
        runs.push(run)
        await next()
      },
    })
    await other
      .worker()
      .handle(Say, ({ data }, { attempt }) => {
        if (attempt === 1) throw new Error('not yet')
        return data.text
      })
      .start()
    expect(await (await jobs.add(Say, { text: 'one' }, { id: 'one' })).result()).toBe('one')
    const two = await jobs.addBulk(Say, [{ data: { text: 'two' } }, { data: { text: 'three' } }])
    for (const job of two) await job.result()
    const step = flowStep(Say, { text: 'child' })
    await (await jobs.addFlow(flowStep(Say, { text: 'flow' }, { children: [step] }))).result()
    expect(counts).toEqual([1, 2, 2])
    expect(runs).toHaveLength(10)
    expect(runs.every(({ trace }) => trace?.traceparent === traceparent)).toBe(true)
    expect(runs.filter(({ id }) => id === 'one')).toEqual(
      [1, 2].map((attempt) => ({
        id: 'one',
        name: 'say',
        queue: 'say',
        attempt,
        attempts: 2,
        trace: { traceparent },
      })),
    )
  })
}

test('the first is the outermost, and sees what the handler throws', async () => {
  const log: string[] = []
  await using jobs = openJobs({ store: memoryJobStore() })
  for (const name of ['outer', 'inner'])
    jobs.use({
      handle: async ({ attempt }, next) => {
        log.push(`${name} ${attempt}`)
        try {
          await next()
        } catch (error) {
          log.push(`${name}: ${error instanceof Error ? error.message : error}`)
          throw error
        }
      },
    })
  await jobs
    .worker()
    .handle(Say, ({ data }, { attempt }) => {
      if (attempt === 1) throw new Error('not yet')
      return data.text
    })
    .start()
  await (await jobs.add(Say, { text: 'a' })).result()
  expect(log).toEqual(['outer 1', 'inner 1', 'inner: not yet', 'outer: not yet', 'outer 2', 'inner 2'])
})

test('middleware that fails, or does not go on, adds no job and fails attempts', async () => {
  await using jobs = openJobs({ store: memoryJobStore() })
  let how: 'throws' | 'stops' | 'goes on' = 'throws'
  const middleware = async (_: unknown, next: () => Promise<void>) => {
    if (how === 'throws') throw new TypeError('no tenant')
    if (how === 'goes on') await next()
  }
  jobs.use({ add: middleware, handle: middleware })
  await expect(jobs.add(Say, { text: 'a' })).rejects.toThrow('no tenant')
  how = 'stops'
  await expect(jobs.add(Say, { text: 'a' })).rejects.toThrow(/without calling next\(\), so say was not added/)
  expect(await jobs.counts()).toMatchObject({ waiting: 0 })
  how = 'goes on'
  const job = await jobs.add(Say, { text: 'a' }, { id: 'a' })
  how = 'stops'
  await jobs
    .worker()
    .handle(Say, ({ data }) => data.text)
    .start()
  await expect(job.result()).rejects.toThrow(/without calling next\(\), so job a did not run/)
})

test('it sees the adding of data that is refused, and how many jobs were new', async () => {
  await using jobs = openJobs({ store: memoryJobStore() })
  const seen: unknown[] = []
  jobs.use({
    add: async (addition, next) => {
      await next().finally(() => seen.push([addition.count, addition.added]))
    },
  })
  const delay = '1h'
  await jobs.add(Say, { text: 'a' }, { id: 'a', delay })
  await jobs.add(Say, { text: 'a' }, { id: 'a', delay })
  await jobs.addBulk(Say, [{ data: { text: 'b' } }, { data: { text: 'a' }, options: { id: 'a' } }])
  const flow = flowStep(Say, { text: 'c' }, { children: [flowStep(Say, { text: 'd' })] })
  await jobs.addFlow(flow, { id: 'c' })
  await jobs.addFlow(flow, { id: 'c' })
  expect(seen.splice(0)).toEqual([
    [1, 1],
    [1, 0],
    [2, 1],
    [2, 2],
    [2, 0],
  ])
  // @ts-expect-error: what a caller without types can do
  await expect(jobs.add(Say, { text: 1 })).rejects.toMatchObject({ code: 'invalid-message' })
  // @ts-expect-error: the same
  await expect(jobs.addBulk(Say, [{ data: {} }, { data: {} }])).rejects.toThrow(/0.text[\s\S]*1.text/)
  // @ts-expect-error: the same
  await expect(jobs.addFlow(flowStep(Say, {}))).rejects.toMatchObject({ code: 'invalid-message' })
  expect(seen).toEqual([
    [1, undefined],
    [2, undefined],
    [1, undefined],
  ])
})

test('a failure that middleware keeps to itself is told all the same', async () => {
  let isAway = false
  const store = storeAround(memoryJobStore(), async (_, call) => {
    if (isAway) throw new Error('no connection')
    return await call()
  })
  await using jobs = openJobs({ store, onFailure: () => {} })
  const quiet = (_: unknown, next: () => Promise<void>) => next().catch(() => {})
  jobs.use({ add: quiet, handle: quiet })
  let calls = 0
  const worker = jobs.worker().handle(Say, () => {
    calls += 1
    throw new PermanentError('declined')
  })
  await worker.start()
  await expect((await jobs.add(Say, { text: 'a' })).result()).rejects.toThrow('declined')
  expect(calls).toBe(1)
  isAway = true
  await expect(jobs.add(Say, { text: 'a' })).rejects.toThrow('no connection')
  isAway = false
})

test('a job that was stored before middleware failed is handed out by its process', async () => {
  const bus = await connect({ url: 'memory:', console: false })
  const store = memoryJobStore()
  const options = { bus, store, poll: 20 }
  await using adding = openJobs(options)
  adding.use({
    add: async (_, next) => {
      await next()
      throw new Error('after')
    },
  })
  const told = Promise.withResolvers<string>()
  const consumer = bus.consumer('workers').on(Say.message, ({ data }) => told.resolve(data.job))
  await consumer.start()
  await expect(adding.add(Say, { text: 'a' }, { id: 'a' })).rejects.toThrow('after')
  expect(await told.promise).toBe('a')
  await bus.close()
})

test('it learns that the attempt has taken too long, though the handler goes on', async () => {
  await using jobs = openJobs({ store: memoryJobStore() })
  const Hang = defineJob('hang', { input: z.object({}), timeout: 10, retry: { attempts: 1 } })
  const seen: unknown[] = []
  jobs.use({
    handle: async (_, next) => {
      await next().catch((error: unknown) => {
        seen.push(error)
        throw error
      })
    },
  })
  await jobs
    .worker()
    .handle(Hang, () => new Promise(() => {}))
    .start()
  await expect((await jobs.add(Hang, {})).result()).rejects.toThrow(/longer than 10 ms/)
  expect(seen).toMatchObject([{ code: 'timeout' }])
})

test('what is no middleware is refused', async () => {
  await using jobs = openJobs({ store: memoryJobStore() })
  expect(() => jobs.use({})).toThrow('expected at least one of add and handle')
  // @ts-expect-error: what a caller without types can do
  expect(() => jobs.use({ add: 1, run: () => {} })).toThrow(/add: expected a function[\s\S]*run/)
})

test('no handler runs in the async context of whoever added the first job', async () => {
  const storage = new AsyncLocalStorage<string>()
  await using jobs = openJobs({ store: memoryJobStore() })
  const seen: unknown[] = []
  const worker = jobs.worker().handle(Say, ({ data }) => {
    seen.push(storage.getStore())
    return data.text
  })
  const first = await storage.run('request 1', () => jobs.add(Say, { text: 'a' }))
  await storage.run('start', () => worker.start())
  await first.result()
  await (await storage.run('request 2', () => jobs.add(Say, { text: 'b' }))).result()
  expect(seen).toEqual([undefined, undefined])
})
