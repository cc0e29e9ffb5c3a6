import { connect, PermanentError } from '@waybill/core'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { JobBook } from '../book/job-book.ts'
import { defineJob } from '../definition.ts'
import type { JobRows, JobStore } from '../store.ts'
import { stores, until } from '../stores.fixture.ts'
import { flowStep, inSequence } from './flow-step.ts'

const Part = defineJob('part', {
  input: z.object({ text: z.string() }),
  output: z.string(),
  retry: { attempts: 1 },
})
const Whole = defineJob('whole', { input: z.object({}), output: z.string() })

const part = (text: string, options = {}) => flowStep(Part, { text }, options)

for (const testStore of stores()) {
  describe(testStore.name, () => {
    test('a parent runs when all its children have completed, with their results, over two brokers', async () => {
      await using second = await connect({ url: 'memory:', console: false })
      const { jobs } = await testStore.open({ buses: { part: second } })
      const order: string[] = []
      const worker = jobs
        .worker()
        .handle(Part, async ({ id, data }, { children }) => {
          const below = await children()
          order.push(id)
          return `${data.text}(${below.map(({ output }) => output).join()})`
        })
        .handle(Whole, async (_, { children }) => (await children()).map(({ output }) => output).join('+'))
      const flow = flowStep(
        Whole,
        {},
        { children: [part('a', { children: [part('b'), part('c')] }), part('d')] },
      )
      const job = await jobs.addFlow(flow, { id: 'f' })
      const again = await jobs.addFlow(flow, { id: 'f' })
      expect([job.isNew, again.isNew]).toEqual([true, false])
      expect(await jobs.counts()).toMatchObject({ 'waiting-for-children': 2, waiting: 3 })
      await worker.start()
      expect(await job.result()).toBe('a(b(),c())+d()')
      expect(order.indexOf('f/0')).toBeGreaterThan(order.indexOf('f/0/1'))
      expect(order).toHaveLength(4)
      expect((await jobs.list({ parent: 'f' })).jobs.map(({ id }) => id).sort()).toEqual(['f/0', 'f/1'])
    })

    test('steps in a row run one after the other', async () => {
      const { jobs } = await testStore.open()
      const worker = jobs.worker().handle(Part, async ({ data }, { children }) => {
        const [before] = await children()
        return `${before?.output ?? ''}${data.text}`
      })
      await worker.start()
      const job = await jobs.addFlow(inSequence([part('a'), part('b'), part('c')]))
      expect(await job.result()).toBe('abc')
    })

    test('a child that fails does to its parent what was chosen', async () => {
      const { jobs } = await testStore.open()
      let fails = true
      const worker = jobs
        .worker()
        .handle(Part, ({ data }) => {
          if (data.text === 'bad' && fails) throw new PermanentError('bad')
          return data.text
        })
        .handle(Whole, async (_, { children }) =>
          (await children()).map(({ state, output }) => `${state} ${output}`).join(),
        )
      await worker.start()
      const flow = (onFailure: 'fail-parent' | 'ignore' | 'wait') =>
        jobs.addFlow(
          flowStep(Whole, {}, { children: [part('good', { onFailure }), part('bad', { onFailure })] }),
          { id: onFailure },
        )
      await expect((await flow('fail-parent')).result()).rejects.toMatchObject({
        error: { name: 'ChildFailed', message: expect.stringContaining('fail-parent/1 failed: bad') },
      })
      expect(await (await flow('ignore')).result()).toBe('completed good,failed undefined')
      const waiting = await flow('wait')
      await until(async () => (await jobs.get('wait/1'))?.state === 'failed')
      expect((await waiting.get())?.state).toBe('waiting-for-children')
      fails = false
      await jobs.retry('wait/1')
      expect(await waiting.result()).toBe('completed good,completed bad')
      // The failed parent waits again for what has not completed.
      await jobs.retry('fail-parent')
      expect((await jobs.get('fail-parent'))?.state).toBe('waiting-for-children')
      await jobs.retry('fail-parent/1')
      expect(await jobs.job(Whole, 'fail-parent').result()).toBe('completed good,completed bad')
    })

    test('children are kept for a parent that has not ended, however short they are to be kept', async () => {
      const { jobs, store } = await testStore.open()
      const book = new JobBook(store)
      await jobs.addFlow(flowStep(Whole, {}, { children: [part('a'), part('b')] }), { id: 'kept' })
      await store.transaction(async (rows) => {
        const children = await rows.lock(['kept/0', 'kept/1'])
        const keepMs = { completed: 0, failed: 0 }
        await rows.update(children.map((row) => ({ ...row, details: { ...row.details, keepMs } })))
      })
      const end = async (id: string) => {
        await book.take([{ id, run: 1 }], 'one', 60_000)
        await book.finish([{ id, run: 1, kind: 'completed', output: '"x"' }], 'one')
      }
      await end('kept/0')
      expect(await store.removeExpired(10)).toBe(0)
      expect(await store.removeBeyond('part', 'completed', 0, 10)).toBe(0)
      await end('kept/1')
      expect(await store.removeBeyond('part', 'completed', 1, 10)).toBe(0)
      expect(await jobs.list({ parent: 'kept' })).toMatchObject({ jobs: [{}, {}] })
      const parent = await store.find(['kept'])
      await book.take([{ id: 'kept', run: parent[0]?.run ?? 0 }], 'one', 60_000)
      await book.finish([{ id: 'kept', run: parent[0]?.run ?? 0, kind: 'completed', output: '""' }], 'one')
      expect(await store.removeBeyond('part', 'completed', 0, 10)).toBe(2)
    })

    test('cancelling a job cancels what it waits for', async () => {
      const { jobs } = await testStore.open()
      const job = await jobs.addFlow(inSequence([part('a'), part('b'), part('c')]))
      expect(await job.cancel()).toBe(true)
      expect(await jobs.counts()).toMatchObject({ cancelled: 3, waiting: 0, 'waiting-for-children': 0 })
    })

    test('a crash while a child ends leaves child and parent as they were', async () => {
      const { jobs, store } = await testStore.open()
      await jobs.addFlow(flowStep(Whole, {}, { children: [part('a')] }), { id: 'f' })
      const book = new JobBook(store)
      const crashing: JobStore = Object.create(store, {
        step: { value: undefined },
        transaction: {
          value: (work: (rows: JobRows) => Promise<unknown>) =>
            store.transaction(async (rows) => {
              await work(rows)
              throw new Error('crash')
            }),
        },
      })
      await book.take([{ id: 'f/0', run: 1 }], 'one', 60_000)
      const done = { id: 'f/0', run: 1, kind: 'completed', output: '"a"' } as const
      await expect(new JobBook(crashing).finish([done], 'one')).rejects.toThrow('crash')
      expect(await jobs.counts()).toMatchObject({ active: 1, 'waiting-for-children': 1 })
      expect(await book.finish([done], 'one')).toEqual([true])
      expect(await jobs.counts()).toMatchObject({ completed: 1, waiting: 1 })
    })
  })
}
