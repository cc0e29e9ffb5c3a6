import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineJob } from '../definition.ts'
import { stores, until } from '../stores.fixture.ts'
import { JobBook } from './job-book.ts'
import type { NewJob } from './new-job.ts'

const job = (id: string, more: Partial<NewJob> = {}): NewJob => ({
  id,
  queue: 'work',
  name: 'work',
  data: '1',
  delayMs: 0,
  priority: 4,
  attempts: 2,
  keepMs: { completed: 60_000, failed: 60_000 },
  ...more,
})

const Work = defineJob('work', { input: z.number(), retry: { attempts: 2 } })

for (const testStore of stores()) {
  describe(testStore.name, () => {
    test('of two deliveries of a run one begins, and of an earlier run none does', async () => {
      const book = new JobBook((await testStore.open()).store)
      await book.add([job('a')])
      const both = await book.take([{ id: 'a', run: 1 }, { id: 'a', run: 1 }], 'one', 60_000) // biome-ignore format: one line
      expect(both.map((row) => row?.attempt)).toEqual([1, undefined])
      expect(await book.take([{ id: 'a', run: 1 }], 'two', 60_000)).toEqual([undefined])
      const failure = {
        id: 'a',
        run: 1,
        kind: 'failed',
        error: { name: 'E', message: '' },
        retryInMs: 0,
      } as const
      expect(await book.finish([failure], 'two')).toEqual([false])
      expect(await book.finish([failure], 'one')).toEqual([true])
      expect(await book.finish([failure], 'one')).toEqual([false])
      expect(await book.take([{ id: 'a', run: 1 }], 'two', 60_000)).toEqual([undefined])
      const [again] = await book.take([{ id: 'a', run: 2 }], 'two', 60_000)
      expect(again?.attempt).toBe(2)
    })

    test('a message that was claimed and never sent is sent again', async () => {
      const { store, another } = await testStore.open()
      const book = new JobBook(store)
      await book.add([job('a')])
      expect((await book.claim({ queue: 'work', room: 10, lost: 10 }, 1000)).map(({ id }) => id)).toEqual([
        'a',
      ])
      expect(await book.claim({ queue: 'work', room: 10, lost: 10 }, 1000)).toEqual([])
      const jobs = await another()
      const worker = jobs.worker().handle(Work, ({ data }) => data)
      await worker.start()
      expect(await jobs.job(Work, 'a').result()).toBe(1)
    })

    test('what a dead worker had runs again with the attempt counted, until none is left', async () => {
      const { store, another } = await testStore.open()
      const book = new JobBook(store)
      await book.add([job('a')])
      await book.take([{ id: 'a', run: 1 }], 'dead', 20)
      const jobs = await another()
      const [row] = await store.find(['a'])
      expect(row?.state).toBe('active')
      const worker = jobs.worker().handle(Work, ({ data }, { attempt }) => data + attempt)
      await worker.start()
      expect(await jobs.job(Work, 'a').result()).toBe(3)
      expect((await jobs.get('a'))?.history.map(({ outcome }) => outcome)).toEqual(['lost', 'completed'])
      await worker.stop()
      await book.add([job('b', { attempts: 1 })])
      await book.take([{ id: 'b', run: 1 }], 'dead', 20)
      await until(async () => (await book.recover(10)) === 1 || (await jobs.get('b'))?.state === 'failed')
      expect(await jobs.get('b')).toMatchObject({ state: 'failed', error: { name: 'WorkerLost' } })
    })

    test('a lease that is renewed is nobody else’s', async () => {
      const { store } = await testStore.open()
      const book = new JobBook(store)
      await book.add([job('a'), job('b')])
      await book.take([{ id: 'a', run: 1 }, { id: 'b', run: 1 }], 'one', 1) // biome-ignore format: one line
      expect(await store.renew('one', ['a'], 60_000)).toEqual(new Set(['a']))
      expect(await store.renew('two', ['a'], 60_000)).toEqual(new Set())
      await until(async () => (await book.recover(10)) === 1)
      expect((await store.find(['a', 'b'])).map(({ id, state }) => [id, state]).sort()).toEqual([
        ['a', 'active'],
        ['b', 'waiting'],
      ])
      expect(await store.owned('one', ['a', 'b'])).toEqual(new Set(['a']))
    })

    test('what has ended is kept by age and by count', async () => {
      const { store } = await testStore.open()
      const book = new JobBook(store)
      const ids = ['a', 'b', 'c', 'd']
      await book.add([...ids.map((id) => job(id)), job('short', { keepMs: { completed: 1, failed: 1 } })])
      for (const id of [...ids, 'short']) {
        await book.take([{ id, run: 1 }], 'one', 60_000)
        await book.finish([{ id, run: 1, kind: 'completed', output: '1' }], 'one')
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      await until(async () => (await store.removeExpired(10)) === 1)
      expect(await store.removeBeyond('work', 'completed', 2, 1)).toBe(1)
      expect(await store.removeBeyond('work', 'completed', 2, 10)).toBe(1)
      expect((await store.list({}, 10)).map(({ id }) => id).sort()).toEqual(['c', 'd'])
    })

    test('a store tells of each queue when its next job is due', async () => {
      const { store } = await testStore.open()
      const book = new JobBook(store)
      await book.add([job('a', { queue: 'one', delayMs: 5000 }), job('b', { queue: 'one', priority: 0 })])
      await book.add([job('c', { queue: 'two', delayMs: 60_000 })])
      const rows = await store.find(['b', 'c'])
      const sendAt = (id: string) => rows.find((row) => row.id === id)?.sendAt
      expect([...(await store.nextSendAt(['two', 'none', 'one']))].sort()).toEqual([
        ['one', sendAt('b')],
        ['two', sendAt('c')],
      ])
      await book.claim({ queue: 'one', room: 1, lost: 0 }, 1000)
      expect((await store.nextSendAt(['one'])).get('one')).toBeGreaterThan(sendAt('b') ?? 0)
      expect((await store.nextSendAt([])).size).toBe(0)
    })

    test('a transaction that fails leaves nothing', async () => {
      const { store } = await testStore.open()
      const book = new JobBook(store)
      await book.add([job('a')])
      const failing = store.transaction(async (rows) => {
        const [row] = await rows.lock(['a'])
        if (row !== undefined) await rows.update([{ ...row, state: 'active', owner: 'x' }])
        await rows.putKeys([{ key: 'k', job: 'a', until: undefined }])
        throw new Error('undone')
      })
      await expect(failing).rejects.toThrow('undone')
      expect(await store.find(['a'])).toMatchObject([{ state: 'waiting' }])
      expect(await store.transaction((rows) => rows.keys(['k']))).toEqual([])
    })
  })
}
