import { MessagingError } from '@waybill/core'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineJob } from '../definition.ts'
import type { JobRow, JobRows, JobStore } from '../store.ts'
import { stores } from '../stores.fixture.ts'

const Work = defineJob('work', { input: z.object({ n: z.number() }) })

/** The store, with what it inserts in each transaction told first. */
function watched(store: JobStore, inserting: (rows: readonly JobRow[]) => void): JobStore {
  return new Proxy(store, {
    get(target, name) {
      if (name === 'transaction') {
        return (work: (rows: JobRows) => Promise<unknown>, ...rest: []) =>
          target.transaction((rows) => work(watchedRows(rows, inserting)), ...rest)
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

function watchedRows(rows: JobRows, inserting: (rows: readonly JobRow[]) => void): JobRows {
  return new Proxy(rows, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (name !== 'insert') return typeof value === 'function' ? value.bind(target) : value
      return (all: readonly JobRow[]) => {
        inserting(all)
        return target.insert(all)
      }
    },
  })
}

for (const testStore of stores()) {
  describe(testStore.name, () => {
    test('jobs that are added at once travel together, and each caller has its own', async () => {
      const { store, another } = await testStore.open()
      const sizes: number[] = []
      const jobs = await another({ store: watched(store, (rows) => sizes.push(rows.length)) })
      const added = await Promise.all(Array.from({ length: 300 }, (_, n) => jobs.add(Work, { n })))
      expect(sizes.length).toBeLessThan(10)
      const found = await Promise.all(added.map(({ id }) => jobs.get(id)))
      expect(found.map((job) => job?.data)).toEqual(added.map((_, n) => ({ n })))
    })

    test('a job that the store refuses fails for its caller alone', async () => {
      const { store, another } = await testStore.open()
      const jobs = await another({
        store: watched(store, (rows) => {
          if (rows.some(({ data }) => data === '{"n":7}')) throw new MessagingError('rejected', 'not seven')
        }),
      })
      const added = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => jobs.add(Work, { n })))
      expect(added.flatMap(({ status }, n) => (status === 'rejected' ? [n] : []))).toEqual([7])
      expect((await jobs.counts({ name: 'work' })).waiting).toBe(19)
    })

    test('a job that waits for a transaction of the application holds up no other', async () => {
      const { jobs, database } = await testStore.open()
      // The others have one connection.
      if (database?.dialect.name !== 'postgres' || testStore.name.startsWith('PGlite')) return
      await database.transaction(async (transaction) => {
        await jobs.add(Work, { n: 1 }, { id: 'one', transaction })
        const again = jobs.add(Work, { n: 1 }, { id: 'one' })
        expect((await jobs.add(Work, { n: 2 })).isNew).toBe(true)
        again.catch(() => {})
      })
    })
  })
}
