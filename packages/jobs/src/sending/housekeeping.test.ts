import { MessagingError } from '@waybill/core'
import { createTestBus } from '@waybill/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineJob } from '../definition.ts'
import { openJobs } from '../jobs.ts'
import { memoryJobStore } from '../memory/memory-job-store.ts'
import type { JobStore } from '../store.ts'

const Tidy = defineJob('tidy', { input: z.string(), removeAfter: { age: '10s' } })

/** A store that takes no more jobs, as one whose memory is full. */
function fullable(store: JobStore): { readonly store: JobStore; isFull: boolean } {
  const full = { store, isFull: false }
  const transaction: JobStore['transaction'] = (work, outer) =>
    store.transaction(
      (rows) =>
        work({
          ...rows,
          now: rows.now,
          insert: async (jobs) => {
            if (full.isFull) throw new MessagingError('rejected', 'OOM', { retryable: true })
            return await rows.insert(jobs)
          },
        }),
      outer,
    )
  return Object.assign(full, {
    store: new Proxy(store, {
      get: (target, name) => {
        if (name === 'transaction') return transaction
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    }),
  })
}

test('a store that is too full for the runs of schedules holds up no jobs, and removes what is over', async () => {
  await using kit = await createTestBus()
  const full = fullable(memoryJobStore({ clock: kit.clock }))
  const failures: string[] = []
  await using jobs = openJobs({ store: full.store, onFailure: (what) => failures.push(what) })
  const ran: string[] = []
  const worker = jobs.worker().handle(Tidy, async ({ data }) => {
    ran.push(data)
  })
  await worker.start()
  await jobs.add(Tidy, 'over')
  await jobs.addBulk(
    Tidy,
    Array.from({ length: 60 }, (_, index) => ({ data: `${index}`, options: { delay: 1000 * (index + 2) } })),
  )
  await jobs.schedules.upsert('ticks', { every: '1s' }, Tidy, 'tick')
  full.isFull = true
  await kit.advance('30s')
  expect(ran.filter((each) => each !== 'over' && each !== 'tick').length).toBeGreaterThan(25)
  await kit.advance('10s')
  expect((await jobs.list({ state: 'completed' })).jobs.map(({ data }) => data)).not.toContain('over')
  expect(new Set(failures)).toEqual(new Set(['running schedules']))
  expect(jobs.workerHealth()).toMatchObject([{ state: 'recovering', error: { code: 'rejected' } }])
  full.isFull = false
  await kit.advance('11s')
  expect(ran).toContain('tick')
  expect(jobs.workerHealth()).toMatchObject([{ state: 'running' }])
})
