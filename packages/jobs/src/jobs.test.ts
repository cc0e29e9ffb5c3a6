import { fixed, PermanentError } from '@waybill/core'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineJob } from './definition.ts'
import { JobFailed } from './job-failed.ts'
import { stores, until } from './stores.fixture.ts'

const Double = defineJob('double', {
  input: z.object({ value: z.number() }),
  output: z.object({ doubled: z.number() }),
  progress: z.number(),
  retry: { attempts: 3, backoff: fixed(10) },
})

const Plain = defineJob('plain', { input: z.object({ text: z.string() }) })

for (const testStore of stores()) {
  describe(testStore.name, () => {
    test('a job runs once, and its result is there for whoever waits', async () => {
      const { jobs, another } = await testStore.open()
      const other = await another()
      const ran: string[] = []
      const worker = other.worker().handle(Double, ({ id, data }, { progress, log }) => {
        ran.push(id)
        progress(0.5)
        log('half')
        return { doubled: data.value * 2 }
      })
      await worker.start()
      const job = await jobs.add(Double, { value: 21 }, { id: 'd-1' })
      const again = await jobs.add(Double, { value: 4 }, { id: 'd-1' })
      expect(await job.result()).toEqual({ doubled: 42 })
      expect([job.isNew, again.isNew, ran]).toEqual([true, false, ['d-1']])
      expect(await jobs.get('d-1')).toMatchObject({
        state: 'completed',
        data: { value: 21 },
        output: { doubled: 42 },
        progress: 0.5,
        attempt: 1,
        attempts: 3,
        history: [{ attempt: 1, outcome: 'completed' }],
        log: [{ text: 'half' }],
      })
      expect(await jobs.counts({ name: 'double' })).toMatchObject({ waiting: 0, active: 0, completed: 1 })
    })

    test('an attempt that fails is followed by another, and the last one fails the job', async () => {
      const { jobs } = await testStore.open()
      let fails = 3
      const worker = jobs.worker().handle(Double, ({ data }) => {
        if (fails > 0) {
          fails -= 1
          throw new Error(`no ${fails}`)
        }
        return { doubled: data.value * 2 }
      })
      await worker.start()
      const job = await jobs.add(Double, { value: 1 })
      await expect(job.result()).rejects.toMatchObject({
        state: 'failed',
        error: { name: 'Error', message: 'no 0' },
      })
      const failed = await job.get()
      expect(failed?.history.map(({ attempt, error }) => [attempt, error?.message])).toEqual([
        [1, 'no 2'],
        [2, 'no 1'],
        [3, 'no 0'],
      ])
      expect(await jobs.retry(job.id)).toBe(true)
      expect(await job.result()).toEqual({ doubled: 2 })
      expect(await jobs.retry(job.id)).toBe(false)
      expect((await job.get())?.attempt).toBe(1)
    })

    test('an id that cannot be stored as it is is refused', async () => {
      const { jobs } = await testStore.open()
      for (const id of ['a\0b', '\ud800', 'a\udc00b'])
        await expect(jobs.add(Plain, { text: 'a' }, { id })).rejects.toMatchObject({
          name: 'ConfigurationError',
        })
      const id = '\ud83d\ude00'
      expect((await jobs.add(Plain, { text: 'a' }, { id })).id).toBe(id)
    })

    test('an error without a message fails the attempt as any does', async () => {
      const { jobs } = await testStore.open()
      const Once = defineJob('once', { input: z.object({}), retry: { attempts: 1 } })
      const nameless = Object.assign(new Error(), { name: undefined, message: undefined })
      await jobs
        .worker()
        .handle(Once, () => Promise.reject(nameless))
        .start()
      const job = await jobs.add(Once, {})
      await expect(job.result({ timeout: '20s' })).rejects.toMatchObject({ state: 'failed' })
      expect(await job.get()).toMatchObject({ error: { name: 'Error', message: '' } })
    })

    test('durations are of any length, and fractions of milliseconds', async () => {
      const { jobs } = await testStore.open()
      const long = 1e300
      const once = (backoff: number) => ({
        queue: 'tried',
        input: z.object({}),
        retry: { attempts: 2, backoff: () => backoff },
      })
      const Soon = defineJob('soon', once(1.5))
      const Never = defineJob('never', once(long))
      const fail = () => {
        throw new Error('no')
      }
      const worker = jobs
        .worker({ lease: 1000.5 })
        .handle(Soon, fail)
        .handle(Never, fail)
        .handle(Plain, ({ data }) => data.text)
      await worker.start()
      await jobs.add(Soon, {}, { id: 'soon' })
      await jobs.add(Never, {}, { id: 'never' })
      await until(async () => (await jobs.get('soon'))?.state === 'failed')
      await until(async () => (await jobs.get('never'))?.state === 'delayed')
      const kept = await jobs.add(Plain, { text: 'a' }, { delay: 1.5, removeAfter: 60_000.5 })
      await jobs.add(Plain, { text: 'b' }, { id: 'late', delay: long, removeAfter: long })
      const deduplicate = { key: 'k', mode: 'throttle', window: 1.5 } as const
      const keyed = await jobs.add(Plain, { text: 'c' }, { deduplicate })
      expect(await Promise.all([kept.result(), keyed.result()])).toEqual(['a', 'c'])
      await jobs.schedules.upsert('s', { every: 60_000.5 }, Plain, { text: 's' })
      const [schedule] = await jobs.schedules.list()
      expect(schedule?.nextAt?.getTime()).toBeGreaterThan(Date.now())
      expect((await jobs.get('late'))?.dueAt.getTime()).toBeGreaterThan(Date.now())
    })

    test('what cannot succeed is not tried again', async () => {
      const { jobs } = await testStore.open()
      let runs = 0
      const worker = jobs.worker().handle(Double, ({ data }) => {
        runs += 1
        if (data.value === 1) throw new PermanentError('never')
        return JSON.parse('{"doubled":"two"}')
      })
      await worker.start()
      const added = await jobs.addBulk(Double, [{ data: { value: 1 } }, { data: { value: 2 } }])
      for (const job of added) await expect(job.result()).rejects.toBeInstanceOf(JobFailed)
      expect(runs).toBe(2)
      expect(await jobs.retryAll({ name: 'double' })).toBe(2)
      await until(async () => (await jobs.counts()).failed === 2 && runs === 4)
    })

    test('invalid data and options are refused as a whole', async () => {
      const { jobs } = await testStore.open()
      await expect(jobs.add(Double, JSON.parse('{"value":"x"}'))).rejects.toMatchObject({
        code: 'invalid-message',
        issues: [{ path: 'value' }],
      })
      const options = {
        id: '',
        priority: 10,
        attempts: 0,
        deduplicate: { key: 'k', mode: 'debounce' },
      } as const
      await expect(jobs.add(Double, { value: 1 }, options)).rejects.toThrow(
        /id: .*\n.*priority: .*\n.*attempts: .*\n.*deduplicate.window: /,
      )
      expect(await jobs.counts()).toMatchObject({ waiting: 0 })
      await jobs.add(Plain, { text: 'a' }, { id: 'same' })
      await expect(jobs.add(Double, { value: 1 }, { id: 'same' })).rejects.toMatchObject({ code: 'rejected' })
    })

    test('a delayed job waits, and can be changed, promoted and cancelled', async () => {
      const { jobs, store } = await testStore.open()
      const ran: string[] = []
      const worker = jobs.worker().handle(Plain, ({ data }) => ran.push(data.text))
      // Its message is at the broker when it is cancelled.
      const sent = await jobs.add(Plain, { text: 'sent' })
      if (testStore.overBus) await until(async () => (await store.sentCount('plain')) === 1)
      expect(await sent.cancel()).toBe(true)
      await worker.start()
      const job = await jobs.add(Plain, { text: 'first' }, { delay: '1h' })
      const never = await jobs.add(Plain, { text: 'never' }, { delay: '1h' })
      expect((await job.get())?.state).toBe('delayed')
      expect(await jobs.counts()).toMatchObject({ waiting: 0, delayed: 2 })
      expect(await never.cancel()).toBe(true)
      expect(await jobs.update(Plain, job.id, { data: { text: 'second' } })).toBe(true)
      expect((await job.get())?.state).toBe('delayed')
      expect(await jobs.promote(job.id)).toBe(true)
      await job.result()
      const control = await jobs.add(Plain, { text: 'control' }, { delay: '100ms' })
      await control.result()
      expect(ran).toEqual(['second', 'control'])
      await expect(never.result()).rejects.toMatchObject({ state: 'cancelled' })
      expect(await jobs.promote(job.id)).toBe(false)
      expect(await jobs.cancel(job.id)).toBe(false)
    })

    test('a running job that is cancelled gets its signal, and its outcome is ignored', async () => {
      const { jobs, another } = await testStore.open()
      const other = await another()
      const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
      const { promise: told, resolve: tell } = Promise.withResolvers<void>()
      const worker = other.worker().handle(Plain, async (_, { signal }) => {
        signal.addEventListener('abort', () => tell())
        begin()
        await told
        return 'late'
      })
      await worker.start()
      const job = await jobs.add(Plain, { text: 'long' })
      await begun
      expect(await job.cancel()).toBe(true)
      await told
      await worker.stop()
      expect(await job.get()).toMatchObject({ state: 'cancelled', output: undefined })
    })

    test('jobs of one key are one job, as they are told to be', async () => {
      const { jobs } = await testStore.open()
      const add = (text: string, mode: 'ignore' | 'replace' | 'debounce' | 'throttle') =>
        jobs.add(Plain, { text }, { deduplicate: { key: mode, mode, window: '1h' }, delay: '30m' })
      const order: string[] = []
      for (const mode of ['ignore', 'replace', 'debounce', 'throttle'] as const) {
        const [first, second] = [await add('first', mode), await add('second', mode)]
        expect([second.id, second.isNew]).toEqual([first.id, false])
        order.push(first.id)
      }
      const { jobs: found } = await jobs.list({ name: 'plain' })
      const inOrder = found.toSorted((one, other) => order.indexOf(one.id) - order.indexOf(other.id))
      const inMinutes = (at: Date) => Math.round((at.getTime() - Date.now()) / 60_000)
      expect(inOrder.map(({ data, dueAt }) => [data, inMinutes(dueAt)])).toEqual([
        [{ text: 'first' }, 30],
        [{ text: 'second' }, 30],
        [{ text: 'second' }, 60],
        [{ text: 'first' }, 30],
      ])
      // Once the job has ended, its key is free, unless it is held for a time.
      for (const { id } of found) await jobs.cancel(id)
      expect((await add('third', 'ignore')).isNew).toBe(true)
      expect((await add('third', 'replace')).isNew).toBe(true)
      expect((await add('third', 'throttle')).isNew).toBe(false)
      const together = await Promise.all(
        Array.from({ length: 8 }, () => jobs.add(Plain, { text: 'x' }, { deduplicate: 'race', delay: '1h' })),
      )
      expect(new Set(together.map(({ id }) => id)).size).toBe(1)
    })

    test('a job that is throttled holds its key until it has ended, however long that takes', async () => {
      const { jobs, store } = await testStore.open()
      const deduplicate = { key: 'k', mode: 'throttle', window: 1 } as const
      const first = await jobs.add(Plain, { text: 'first' }, { deduplicate, delay: '1h' })
      await new Promise((resolve) => setTimeout(resolve, 5))
      await store.removeExpired(10)
      const second = await jobs.add(Plain, { text: 'second' }, { deduplicate })
      expect([second.id, second.isNew]).toEqual([first.id, false])
      await first.cancel()
      expect((await jobs.add(Plain, { text: 'third' }, { deduplicate })).isNew).toBe(true)
    })

    test('urgent jobs go first, of equal ones the oldest', async () => {
      const { jobs } = await testStore.open({ window: 1 })
      const order: string[] = []
      await jobs.addBulk(
        Plain,
        [
          ['low', 1],
          ['a', 4],
          ['b', 4],
          ['high', 9],
          ['c', 4],
        ].map(([text, priority]) => ({
          data: { text: String(text) },
          options: { priority: Number(priority), delay: 1 },
        })),
      )
      // By the process that sends them: two may each have a message at the broker.
      const worker = jobs.worker({ concurrency: 1 }).handle(Plain, ({ data }) => order.push(data.text))
      await worker.start()
      await until(() => order.length === 5)
      expect(order).toEqual(['high', 'a', 'b', 'c', 'low'])
    })

    test('of a queue no more run at once than it allows, whichever workers have room', async () => {
      const { jobs, another } = await testStore.open()
      const Few = defineJob('few', {
        input: z.object({}),
        globalConcurrency: 2,
        retry: { attempts: 3, backoff: fixed(1) },
      })
      let running = 0
      let most = 0
      let fails = 5
      for (const each of [jobs, await another(), await another()]) {
        const worker = each.worker({ concurrency: 5 }).handle(Few, async () => {
          running += 1
          most = Math.max(most, running)
          await new Promise((resolve) => setTimeout(resolve, 5))
          running -= 1
          fails -= 1
          if (fails >= 0) throw new Error('one of the first')
        })
        await worker.start()
      }
      const added = await jobs.addBulk(
        Few,
        Array.from({ length: 20 }, () => ({ data: {} })),
      )
      for (const job of added) await job.result()
      expect(most).toBe(2)
    })

    test('lists come in pages, and counts add up at every look', async () => {
      const { jobs } = await testStore.open()
      const worker = jobs.worker({ concurrency: 7 }).handle(Plain, async ({ data }) => {
        await new Promise((resolve) => setTimeout(resolve, 1))
        if (Number(data.text) % 10 === 0) throw new PermanentError('a tenth')
      })
      await worker.start()
      const total = 60
      await jobs.addBulk(
        Plain,
        Array.from({ length: total }, (_, index) => ({ data: { text: String(index) } })),
      )
      for (let completed = 0; completed < total * 0.9; ) {
        const counts = await jobs.counts()
        expect(Object.values(counts).reduce((sum, each) => sum + each, 0)).toBe(total)
        completed = counts.completed
        await new Promise((resolve) => setImmediate(resolve))
      }
      await until(async () => (await jobs.counts()).failed === total / 10)
      const ids = new Set<string>()
      let after: string | undefined
      do {
        const page = await jobs.list({ state: ['completed', 'failed'], limit: 7, ...(after && { after }) })
        for (const { id } of page.jobs) ids.add(id)
        after = page.next
      } while (after !== undefined)
      expect(ids.size).toBe(total)
      expect((await jobs.list({ state: 'failed' })).jobs).toHaveLength(total / 10)
    })

    test('pages hold together whatever characters ids have', async () => {
      const { jobs } = await testStore.open()
      const ids = ['\n', '\nlead', ':', '1:', '-x', ' ', '\u001b[31m', 'ü😀', "o'1", '"', '%', '\\']
      const items = ids.map((id) => ({ data: { text: '' }, options: { id, delay: '1h' } }) as const)
      await jobs.addBulk(Plain, items)
      const listed: string[] = []
      let after: string | undefined
      do {
        const page = await jobs.list({ limit: 1, ...(after !== undefined && { after }) })
        listed.push(...page.jobs.map(({ id }) => id))
        after = page.next
      } while (after !== undefined)
      expect(listed.toSorted()).toEqual(ids.toSorted())
      for (const id of ids) expect((await jobs.get(id))?.id).toBe(id)
    })

    test('progress costs little, and those who watch see how it goes', async () => {
      const { jobs, store } = await testStore.open()
      let changes = 0
      store.onChange(() => {
        changes += 1
      })
      const { promise: seen, resolve: see } = Promise.withResolvers<void>()
      const worker = jobs.worker().handle(Double, async ({ data }, { progress }) => {
        const before = changes
        for (let step = 1; step <= 10_000; step += 1) {
          progress(step)
          if (step % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
        }
        await seen
        expect(changes - before).toBeLessThan(200)
        return { doubled: data.value }
      })
      await worker.start()
      const events: string[] = []
      const over = new AbortController()
      const watching = (async () => {
        for await (const { kind, job } of jobs.events(Double, { signal: over.signal }))
          events.push(`${kind} ${job.state}`)
      })()
      const job = await jobs.add(Double, { value: 1 })
      const states: string[] = []
      const told: unknown[] = []
      for await (const { kind, job: now } of job.watch()) {
        states.push(kind)
        told.push(now.progress)
        if (now.progress === 10_000) see()
      }
      expect(told).toContain(10_000)
      expect(states.at(-1)).toBe('completed')
      await until(() => events.includes('completed completed'))
      over.abort()
      await watching
    })

    test('what a worker does not end in time is given back, and uses up no attempt', async () => {
      const { jobs, another } = await testStore.open()
      const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
      const first = jobs.worker().handle(Double, () => {
        begin()
        return new Promise(() => {})
      })
      await first.start()
      const job = await jobs.add(Double, { value: 4 }, { attempts: 1 })
      await begun
      await first.stop({ timeout: 10 })
      const second = (await another()).worker().handle(Double, ({ data }) => ({ doubled: data.value * 2 }))
      await second.start()
      expect(await job.result()).toEqual({ doubled: 8 })
      expect((await job.get())?.history.map(({ outcome }) => outcome)).toEqual(['released', 'completed'])
    })

    test('an attempt that takes too long has failed', async () => {
      const { jobs } = await testStore.open()
      const Slow = defineJob('slow', { input: z.object({}), timeout: 30, retry: { attempts: 1 } })
      const worker = jobs.worker().handle(Slow, () => new Promise(() => {}))
      await worker.start()
      const job = await jobs.add(Slow, {})
      await expect(job.result()).rejects.toThrow('longer than 30 ms')
    })

    test('a job that is added in a transaction is there when it commits', async () => {
      const { jobs, database } = await testStore.open()
      if (database === undefined) {
        const nothing = { query: async () => [] }
        await expect(jobs.add(Plain, { text: 'a' }, { transaction: nothing })).rejects.toMatchObject({
          code: 'unsupported',
        })
        return
      }
      const worker = jobs.worker().handle(Plain, ({ data }) => data.text)
      await worker.start()
      const failing = database.transaction(async (transaction) => {
        await jobs.add(Plain, { text: 'undone' }, { id: 'undone', transaction })
        throw new Error('undone')
      })
      await expect(failing).rejects.toThrow('undone')
      const job = await database.transaction((transaction) =>
        jobs.add(Plain, { text: 'done' }, { transaction }),
      )
      expect(await job.result()).toBe('done')
      expect(await jobs.get('undone')).toBeUndefined()
    })

    test('a job can be completed in the transaction of its effect', async () => {
      const { jobs, database } = await testStore.open()
      if (database === undefined) return
      const effects = database.dialect.table('effects')
      await database.query(`CREATE TABLE ${effects} (id text)`)
      let undo = true
      const worker = jobs.worker().handle(Double, ({ id }, { completeIn }) =>
        database.transaction(async (transaction) => {
          await transaction.query(`INSERT INTO ${effects} VALUES ($1)`, [id])
          await completeIn(transaction, { doubled: 1 })
          if (undo) {
            undo = false
            throw new Error('undone')
          }
          return { doubled: 2 }
        }),
      )
      await worker.start()
      const job = await jobs.add(Double, { value: 1 })
      expect(await job.result()).toEqual({ doubled: 1 })
      expect(await database.query(`SELECT id FROM ${effects}`)).toEqual([{ id: job.id }])
      expect((await job.get())?.history.map(({ outcome }) => outcome)).toEqual(['failed', 'completed'])
    })
  })
}
