import { connect, MessagingError } from '@waybill/core'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineJob } from '../definition.ts'
import { openJobs } from '../jobs.ts'
import { memoryJobStore } from '../memory/memory-job-store.ts'
import { hastyClock, storeAround, stores, until } from '../stores.fixture.ts'

const Plain = defineJob('plain', { input: z.object({ text: z.string() }) })

const texts = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ data: { text: String(index) } }))

function isActive(found: unknown): boolean {
  return Array.isArray(found) && found[0]?.state === 'active'
}

for (const testStore of stores().filter(({ overBus }) => !overBus)) {
  describe(testStore.name, () => {
    test('a worker takes no more than it runs, so that others have the rest', async () => {
      const { jobs, another } = await testStore.open()
      const end = Promise.withResolvers<void>()
      const ran = [0, 0]
      for (const [index, each] of [jobs, await another()].entries()) {
        const worker = each.worker({ concurrency: 2 }).handle(Plain, async () => {
          ran[index] = (ran[index] ?? 0) + 1
          await end.promise
        })
        await worker.start()
      }
      const added = await jobs.addBulk(Plain, texts(5))
      await until(() => ran[0] === 2 && ran[1] === 2)
      expect(await jobs.counts()).toMatchObject({ active: 4, waiting: 1 })
      end.resolve()
      for (const job of added) await job.result()
      expect((ran[0] ?? 0) + (ran[1] ?? 0)).toBe(5)
    })

    test('jobs that a store has begun in an answer that never came run at once, with all their attempts', async () => {
      const { store, another } = await testStore.open()
      let answers = 0
      const unanswered = storeAround(store, async (name, call) => {
        const found = await call()
        const isTaken = ['step', 'transaction'].includes(name) && isActive(found)
        if (isTaken && ++answers <= 2) throw new MessagingError('disconnected', 'cut', { retryable: true })
        return found
      })
      const jobs = await another({ store: unanswered })
      const Limited = defineJob('limited', { input: z.object({}), rateLimit: { max: 100, per: '1s' } })
      const plain = jobs.worker({ concurrency: 4 }).handle(Plain, ({ data }) => data.text)
      await jobs.addBulk(
        Plain,
        texts(4).map((each) => ({ ...each, options: { attempts: 1 } })),
      )
      await plain.start()
      await until(async () => (await jobs.counts()).completed === 4)
      answers = 1
      await jobs
        .worker()
        .handle(Limited, () => {})
        .start()
      const limited = await jobs.add(Limited, {}, { attempts: 1 })
      await limited.result()
      for (const { history } of (await jobs.list()).jobs)
        expect(history.every(({ outcome }) => outcome !== 'lost')).toBe(true)
      expect(answers).toBeGreaterThan(2)
    })

    test('a worker leaves the jobs of a queue that it does not handle to others', async () => {
      const { jobs, another } = await testStore.open()
      const Mine = defineJob('mine', { queue: 'shared', input: z.object({ text: z.string() }) })
      const Theirs = defineJob('theirs', { queue: 'shared', input: z.object({ text: z.string() }) })
      const theirs = await jobs.addBulk(Theirs, texts(30))
      const mine = await jobs.addBulk(Mine, texts(3))
      const worker = jobs.worker({ concurrency: 2 }).handle(Mine, ({ data }) => data.text)
      await worker.start()
      for (const [index, job] of mine.entries()) expect(await job.result()).toBe(String(index))
      expect(await jobs.counts({ name: 'theirs' })).toMatchObject({ waiting: 30, active: 0 })
      const other = await another()
      await other
        .worker()
        .handle(Theirs, ({ data }) => data.text)
        .start()
      for (const [index, job] of theirs.entries()) expect(await job.result()).toBe(String(index))
    })

    test('what a definition allows holds where a queue has several, and for what begins in a while', async () => {
      const { jobs } = await testStore.open()
      const Few = defineJob('few', { queue: 'shared', input: z.object({}), concurrency: 2 })
      const Slow = defineJob('slow', {
        queue: 'shared',
        input: z.object({}),
        rateLimit: { max: 2, per: '200ms' },
      })
      let running = 0
      let most = 0
      const begun: number[] = []
      const worker = jobs
        .worker({ concurrency: 20 })
        .handle(Few, async () => {
          running += 1
          most = Math.max(most, running)
          // However long the store takes to begin the second.
          await until(() => most > 1)
          await new Promise((resolve) => setTimeout(resolve, 5))
          running -= 1
        })
        .handle(Slow, () => {
          begun.push(performance.now())
        })
      await worker.start()
      const few = await jobs.addBulk(
        Few,
        Array.from({ length: 10 }, () => ({ data: {} })),
      )
      const slow = await jobs.addBulk(
        Slow,
        Array.from({ length: 5 }, () => ({ data: {} })),
      )
      for (const job of [...few, ...slow]) await job.result()
      expect(most).toBe(2)
      // Two at once, two and one after that; between its turn and its handler a job is written to the store.
      expect((begun.at(-1) ?? 0) - (begun[0] ?? 0)).toBeGreaterThan(300)
      expect((await slow[4]?.get())?.history).toMatchObject([{ attempt: 1, outcome: 'completed' }])
    })

    test('a worker that stops gives back what it has, at once and without using up attempts', async () => {
      const { jobs, another } = await testStore.open()
      const begun = Promise.withResolvers<void>()
      const Limited = defineJob('limited', {
        input: z.object({ text: z.string() }),
        rateLimit: { max: 1, per: '1h' },
      })
      const worker = jobs
        .worker({ concurrency: 5 })
        .handle(Plain, async () => {
          begun.resolve()
          await new Promise(() => {})
        })
        .handle(Limited, () => {})
      await worker.start()
      const stuck = await jobs.add(Plain, { text: 'stuck' })
      const limited = await jobs.addBulk(Limited, texts(3))
      await begun.promise
      await until(async () => (await jobs.counts({ name: 'limited' })).completed === 1)
      await worker.stop({ timeout: 10 })
      expect(await jobs.counts()).toMatchObject({ active: 0, waiting: 3, completed: 1 })
      const other = await another({ resendAfter: '1h' })
      const Unlimited = defineJob('limited', { input: z.object({ text: z.string() }) })
      await other
        .worker()
        .handle(Plain, (_, { attempt }) => attempt)
        .handle(Unlimited, (_, { attempt }) => attempt)
        .start()
      expect(await other.job(Plain, stuck.id).result()).toBe(1)
      for (const { id } of limited) await other.job(Unlimited, id).result()
    })

    test('what waits for its turn holds up no other jobs of its queue', async () => {
      const { jobs } = await testStore.open()
      const Hourly = defineJob('hourly', {
        queue: 'shared',
        input: z.object({ text: z.string() }),
        rateLimit: { max: 1, per: '1h' },
      })
      const Two = defineJob('two', { queue: 'shared', input: z.object({ text: z.string() }), concurrency: 2 })
      const Free = defineJob('free', { queue: 'shared', input: z.object({ text: z.string() }) })
      let running = 0
      let most = 0
      const handler = async () => {
        running += 1
        most = Math.max(most, running)
        await until(() => most > 2)
        await new Promise((resolve) => setTimeout(resolve, 5))
        running -= 1
      }
      const worker = jobs
        .worker({ concurrency: 3 })
        .handle(Hourly, handler)
        .handle(Two, handler)
        .handle(Free, handler)
      await worker.start()
      await jobs.addBulk(Hourly, texts(20))
      await until(() => (worker.health()[0]?.inFlight ?? 0) >= 3)
      const two = await jobs.addBulk(Two, texts(20))
      const free = await jobs.addBulk(Free, texts(20))
      for (const job of [...two, ...free]) await job.result()
      expect(most).toBe(3)
      expect(await jobs.counts({ name: 'hourly' })).toMatchObject({ waiting: 19, completed: 1 })
      // They wait in the store, but for a few.
      expect(worker.health()[0]?.inFlight).toBeLessThan(7)
    })

    test('a paused worker takes nothing until it goes on', async () => {
      const { jobs } = await testStore.open()
      const worker = jobs.worker().handle(Plain, ({ data }) => data.text)
      await worker.start()
      await (await jobs.add(Plain, { text: 'first' })).result()
      worker.pause()
      expect(worker.health()).toMatchObject([{ topic: 'jobs.plain', group: 'workers', state: 'paused' }])
      const second = await jobs.add(Plain, { text: 'second' })
      await expect(second.result({ timeout: '200ms' })).rejects.toMatchObject({ code: 'timeout' })
      expect((await second.get())?.state).toBe('waiting')
      worker.resume()
      expect(await second.result()).toBe('second')
    })

    test('a paused worker gives back what waits for its turn, so that others have it', async () => {
      const { jobs, another } = await testStore.open()
      const Limited = defineJob('limited', {
        input: z.object({ text: z.string() }),
        rateLimit: { max: 1, per: '100ms' },
      })
      let ran = 0
      const worker = jobs.worker().handle(Limited, () => {
        ran += 1
      })
      await worker.start()
      await jobs.addBulk(Limited, texts(5))
      await until(() => ran > 0)
      worker.pause()
      await until(() => worker.health()[0]?.inFlight === 0)
      const ranBefore = ran
      await new Promise((resolve) => setTimeout(resolve, 300))
      expect(ran).toBe(ranBefore)
      const other = await another({ resendAfter: '1h' })
      const Unlimited = defineJob('limited', { input: z.object({ text: z.string() }) })
      await other
        .worker()
        .handle(Unlimited, () => {})
        .start()
      await until(async () => (await jobs.counts()).completed === 5)
      expect(ran).toBe(ranBefore)
    })
  })
}

test('a rate limit store that fails lets nothing begin until it answers', async () => {
  const failures: string[] = []
  let isAway = true
  const store = {
    take: () => {
      if (isAway) throw new Error('away')
      return 0
    },
  }
  const Limited = defineJob('limited', { input: z.object({}), rateLimit: { max: 1, per: '1s', store } })
  await using jobs = openJobs({
    store: memoryJobStore(),
    onFailure: (what, error) => {
      failures.push(`${what}: ${error.message}`)
      isAway = false
    },
  })
  await jobs
    .worker()
    .handle(Limited, () => 'done')
    .start()
  expect(await (await jobs.add(Limited, {})).result()).toBe('done')
  expect(failures).toEqual(['asking the rate limit store of limited: away'])
})

test('a rate limit store that does not answer holds up nobody who stops', async () => {
  const asked = Promise.withResolvers<void>()
  const take = () => {
    asked.resolve()
    return new Promise<number>(() => {})
  }
  const Limited = defineJob('limited', {
    input: z.object({ text: z.string() }),
    rateLimit: { max: 1, per: '1s', store: { take } },
  })
  await using jobs = openJobs({ store: memoryJobStore() })
  const worker = jobs.worker().handle(Limited, () => {})
  await worker.start()
  await jobs.addBulk(Limited, texts(3))
  await asked.promise
  const startedAt = performance.now()
  await worker.stop()
  expect(performance.now() - startedAt).toBeLessThan(5000)
  expect(await jobs.counts()).toMatchObject({ waiting: 3 })
  const Unlimited = defineJob('limited', { input: z.object({ text: z.string() }) })
  await jobs
    .worker()
    .handle(Unlimited, () => {})
    .start()
  await until(async () => (await jobs.counts()).completed === 3)
})

test.each(['with', 'without'])(
  '%s a bus a store that fails is told in health, until it answers',
  async (how) => {
    let isAway = false
    const store = storeAround(memoryJobStore(), async (_, call) => {
      if (isAway) throw new Error('no connection')
      return await call()
    })
    const told = Promise.withResolvers<void>()
    await using bus = await connect({ url: 'memory:', console: false })
    await using jobs = openJobs({ store, onFailure: () => told.resolve(), ...(how === 'with' && { bus }) })
    const worker = jobs.worker().handle(Plain, ({ data }) => data.text)
    await worker.start()
    expect(await (await jobs.add(Plain, { text: 'first' })).result()).toBe('first')
    expect(worker.health()).toMatchObject([{ state: 'running' }])
    isAway = true
    worker.resume()
    await told.promise
    await until(() => worker.health()[0]?.state === 'recovering')
    expect(worker.health()).toMatchObject([{ error: { code: 'failed' } }])
    isAway = false
    await until(() => worker.health()[0]?.state === 'running')
  },
)

test('a store that never answers is told in health, and does not keep the jobs from closing', async () => {
  let isHung = false
  let laterMs = 0
  const clock = { ...hastyClock, monotonic: () => performance.now() + laterMs }
  const store = storeAround(memoryJobStore({ clock }), async (_, call) => {
    if (isHung) await new Promise(() => {})
    return await call()
  })
  const jobs = openJobs({ store })
  const worker = jobs.worker().handle(Plain, () => {})
  await worker.start()
  await (await jobs.add(Plain, { text: 'first' })).result()
  isHung = true
  worker.resume()
  await new Promise((resolve) => setTimeout(resolve, 10))
  expect(worker.health()).toMatchObject([{ state: 'running' }])
  laterMs = 30_000
  expect(worker.health()).toMatchObject([{ state: 'recovering', error: { code: 'timeout' } }])
  await jobs.close()
})

test('what one take has brought runs while another is answered late, or fails', async () => {
  for (const becomes of ['late', 'failed'] as const) {
    const released = Promise.withResolvers<void>()
    let takes = 0
    const memory = memoryJobStore()
    const store = storeAround(memory, async (name, call) => {
      const found = await call()
      const isTaken = name === 'transaction' && Array.isArray(found) && found[0]?.state === 'active'
      if (isTaken && ++takes === 1) {
        await released.promise
        if (becomes === 'failed') throw new Error('no answer')
      }
      return found
    })
    await using adding = openJobs({ store: memory })
    await adding.addBulk(Plain, texts(4))
    const failures: string[] = []
    await using jobs = openJobs({ store, onFailure: (what) => failures.push(what) })
    let running = 0
    let most = 0
    const worker = jobs.worker({ concurrency: 4, lease: '1s' }).handle(Plain, async () => {
      running += 1
      most = Math.max(most, running)
      await new Promise((resolve) => setTimeout(resolve, 5))
      running -= 1
    })
    await worker.start()
    await until(async () => (await jobs.counts()).completed === 2)
    expect(await jobs.counts()).toMatchObject({ active: 2, waiting: 0 })
    released.resolve()
    await until(async () => (await jobs.counts()).completed === 4)
    expect(most).toBeLessThanOrEqual(4)
    expect(failures).toEqual(becomes === 'failed' ? ['looking after jobs'] : [])
  }
})

test('what the store hands out after the lease has run out is given back: another may have it', async () => {
  const memory = memoryJobStore()
  let isLate = true
  const store = storeAround(memory, async (_, call) => {
    const answer = await call()
    if (isLate && Array.isArray(answer) && answer.length > 0) {
      isLate = false
      await new Promise((resolve) => setTimeout(resolve, 1500))
    }
    return answer
  })
  const failures: string[] = []
  await using late = openJobs({ store, onFailure: (what) => failures.push(what) })
  await using other = openJobs({ store: memory })
  let ran = 0
  const handler = async () => {
    ran += 1
    await new Promise((resolve) => setTimeout(resolve, 1500))
  }
  await late.worker({ lease: '1s' }).handle(Plain, handler).start()
  const job = await other.add(Plain, { text: 'a' })
  await until(() => !isLate)
  await other.worker({ lease: '1s' }).handle(Plain, handler).start()
  await job.result()
  expect(ran).toBe(1)
  expect(failures).toEqual([`beginning job ${job.id}`])
})

test('what the store hands out after the worker was to end is given back', async () => {
  let isSlow = false
  const asked = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<void>()
  const store = storeAround(memoryJobStore(), async (name, call) => {
    const found = await call()
    // The run begins: what was set aside is taken.
    const isTaken = name === 'transaction' && Array.isArray(found) && found[0]?.state === 'active'
    if (isSlow && isTaken) {
      asked.resolve()
      await answer.promise
    }
    return found
  })
  const Limited = defineJob('limited', { input: z.object({}), rateLimit: { max: 9, per: '1s' } })
  await using jobs = openJobs({ store })
  let ran = 0
  const worker = jobs.worker().handle(Limited, async () => {
    ran += 1
    await new Promise(() => {})
  })
  await worker.start()
  isSlow = true
  const job = await jobs.add(Limited, {})
  await asked.promise
  const stopped = worker.stop({ timeout: 10 })
  await new Promise((resolve) => setTimeout(resolve, 50))
  answer.resolve()
  await stopped
  expect(ran).toBe(0)
  expect(await job.get()).toMatchObject({ state: 'waiting', attempt: 0 })
})

test('a worker that was stopped, or whose jobs are closed, does not start', async () => {
  const jobs = openJobs({ store: memoryJobStore() })
  const stopped = jobs.worker().handle(Plain, () => {})
  await stopped.stop()
  await expect(stopped.start()).rejects.toMatchObject({ code: 'closed' })
  const closed = jobs.worker().handle(Plain, () => {})
  await jobs.close()
  await expect(closed.start()).rejects.toMatchObject({ code: 'closed' })
})

test('a broker that does not answer holds up no jobs that are taken from the store', async () => {
  const Ocr = defineJob('ocr', { input: z.object({}) })
  const bus = await connect({ url: 'memory:', console: false })
  const sending = Promise.withResolvers<void>()
  const producer = bus.producer()
  producer.send = () => {
    sending.resolve()
    return new Promise(() => {})
  }
  bus.producer = () => producer
  const jobs = openJobs({ store: memoryJobStore({ clock: hastyClock }), buses: { ocr: bus } })
  await jobs
    .worker()
    .handle(Plain, ({ data }) => data.text)
    .start()
  await jobs.add(Ocr, {})
  await sending.promise
  const job = await jobs.add(Plain, { text: 'goes on' })
  expect(await job.result()).toBe('goes on')
  await jobs.close()
  await bus.close()
})

test('a run learns that its lease has run out though the store does not answer', async () => {
  const memory = memoryJobStore()
  const store = storeAround(memory, async (name, call) => {
    if (name === 'renew' || name === 'owned') await new Promise(() => {})
    return await call()
  })
  const failures: string[] = []
  await using jobs = openJobs({ store, onFailure: (what) => failures.push(what) })
  const begun = Promise.withResolvers<void>()
  const over = Promise.withResolvers<unknown>()
  const worker = jobs.worker({ lease: '1s' }).handle(Plain, async (_, { signal }) => {
    signal.addEventListener('abort', () => over.resolve(signal.reason))
    begun.resolve()
    await over.promise
  })
  await worker.start()
  const job = await jobs.add(Plain, { text: 'a' })
  await begun.promise
  worker.pause()
  const message = expect.stringContaining('ran out before it was renewed')
  expect(await over.promise).toMatchObject({ code: 'stale', message })
  expect(failures).toContain(`running job ${job.id}`)
})

test('what a handler tells is stored when a store that failed answers again', async () => {
  let isAway = false
  const store = storeAround(memoryJobStore(), async (name, call) => {
    if (isAway && name === 'transaction') throw new Error('no connection')
    return await call()
  })
  const failed = Promise.withResolvers<void>()
  await using jobs = openJobs({
    store,
    onFailure: (what) => {
      if (what === 'storing the progress of jobs') failed.resolve()
    },
  })
  const Told = defineJob('told', { input: z.object({}), progress: z.number() })
  const end = Promise.withResolvers<void>()
  const worker = jobs.worker().handle(Told, async (_, { progress, log }) => {
    isAway = true
    log('first')
    progress(1)
    await failed.promise
    log('second')
    isAway = false
    await end.promise
  })
  await worker.start()
  const job = await jobs.add(Told, {})
  await until(async () => (await job.get())?.progress === 1)
  expect((await job.get())?.log.map(({ text }) => text)).toEqual(['first', 'second'])
  end.resolve()
  await job.result()
})

test('queues in which nothing is due hold up none in which something is', async () => {
  let changes = 0
  const store = storeAround(memoryJobStore(), async (name, call) => {
    if (name === 'transaction') changes += 1
    return await call()
  })
  await using jobs = openJobs({ store })
  const worker = jobs.worker({ concurrency: 1 }).handle(Plain, ({ data }) => data.text)
  for (let index = 0; index < 50; index += 1)
    worker.handle(defineJob(`idle-${index}`, { input: z.object({}) }), () => {})
  await worker.start()
  const added = await jobs.addBulk(Plain, texts(20))
  for (const job of added) await job.result()
  expect(changes).toBeLessThan(200)
})

test('whoever is told of failures may fail, too', async () => {
  let failures = 0
  const store = storeAround(memoryJobStore(), async (name, call) => {
    if (name === 'nextSendAt' && failures < 2) throw new Error('away')
    return await call()
  })
  const onFailure = () => {
    failures += 1
    throw new Error('nobody listens')
  }
  await using jobs = openJobs({ store, onFailure })
  await jobs
    .worker()
    .handle(Plain, ({ data }) => data.text)
    .start()
  await until(() => failures === 2)
  expect(await (await jobs.add(Plain, { text: 'goes on' })).result()).toBe('goes on')
})

test('what goes wrong with looking after the store keeps no jobs from workers', async () => {
  const store = storeAround(memoryJobStore(), async (name, call) => {
    if (name === 'nextSweepAt') throw new Error('broken')
    return await call()
  })
  await using jobs = openJobs({ store, onFailure: () => {} })
  await jobs
    .worker()
    .handle(Plain, ({ data }) => data.text)
    .start()
  expect(await (await jobs.add(Plain, { text: 'goes on' })).result()).toBe('goes on')
})
