import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { type Bus, fixed } from '@waybill/core'
import { createTestBus } from '@waybill/core/testing'
import { defineJob, memoryJobStore, openJobs } from '@waybill/jobs'
import { expect, test, vi } from 'vitest'
import { z } from 'zod'
import { instrument } from './index.ts'
import type { InstrumentOptions } from './options.ts'
import { tracesInMemory } from './traces.fixture.ts'

const schema = z.object({ n: z.number() })
const Render = defineJob('render', { input: schema, retry: { attempts: 2, backoff: fixed('1s') } })
const Notify = defineJob('notify', { input: schema })

async function instrumented(over: 'bus' | 'store', options: InstrumentOptions = {}) {
  const kit = await createTestBus()
  const traces = tracesInMemory()
  const bus: Bus | undefined = over === 'bus' ? kit.bus : undefined
  const store = memoryJobStore({ clock: kit.clock })
  const jobs = openJobs({ ...(bus !== undefined && { bus }), store })
  const { tracerProvider } = traces
  instrument(bus, { metrics: false, tracerProvider, jobs: { main: jobs }, ...options })
  await jobs
    .worker()
    .handle(Render, async ({ data }, { attempt }) => {
      if (attempt === 1) throw new TypeError('once')
      await jobs.add(Notify, data)
    })
    .handle(Notify, () => {})
    .start()
  return {
    jobs,
    traces,
    ended: (count: number) =>
      vi.waitFor(async () => {
        await kit.advance('1s')
        expect(await jobs.counts()).toMatchObject({ completed: count })
      }),
    [Symbol.asyncDispose]: async () => {
      await jobs.close()
      await kit[Symbol.asyncDispose]()
    },
  }
}

/** Of messages that a bus hands jobs out by there are more. */
const ofJobs = (lines: readonly string[]) => lines.filter((line) => !line.includes('client'))

test('without a broker a job is in the trace of who adds it, with each attempt, and what it adds', async () => {
  await using it = await instrumented('store')
  const { jobs, traces } = it
  const added = await traces.tracer.startActiveSpan('POST /invoices', async (span) => {
    const job = await jobs.add(Render, { n: 1 })
    span.end()
    return job
  })
  await it.ended(2)
  expect(traces.lines().toSorted()).toEqual([
    'consumer process notify of add notify, links add notify',
    'consumer process render 2 of add render, links add render',
    'consumer process render of add render, links add render, TypeError',
    'internal POST /invoices',
    'producer add notify of process render 2',
    'producer add render of POST /invoices',
  ])
  expect(traces.traceCount()).toBe(1)
  const processed = traces.spans().find(({ name }) => name === 'process render')
  expect(processed?.attributes).toEqual({
    'messaging.system': 'waybill',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': 'render',
    'messaging.message.id': added.id,
    'messaging.waybill.attempt': 1,
    'messaging.waybill.job.name': 'render',
    'error.type': 'TypeError',
  })
})

test('over a broker an attempt links to the handling of its message too', async () => {
  await using it = await instrumented('bus')
  await it.jobs.add(Notify, { n: 1 })
  await it.ended(1)
  expect(ofJobs(it.traces.lines()).toSorted()).toEqual([
    'consumer process jobs.notify of send jobs.notify, links send jobs.notify',
    'consumer process notify of add notify, links add notify + process jobs.notify',
    'producer add notify',
    'producer send jobs.notify',
  ])
})

test('linked: an attempt begins a trace of its own', async () => {
  await using it = await instrumented('store', { traceStructure: 'linked' })
  await it.jobs.addBulk(Notify, [{ data: { n: 1 } }, { data: { n: 2 } }])
  await it.ended(2)
  expect(it.traces.lines().toSorted()).toEqual([
    'consumer process notify, links add notify',
    'consumer process notify, links add notify',
    'producer add notify',
  ])
  expect(it.traces.traceCount()).toBe(3)
  const added = it.traces.spans().find(({ name }) => name === 'add notify')
  expect(added?.attributes['messaging.batch.message_count']).toBe(2)
})

test('without spans, the trace that other middleware gives a job stays', async () => {
  await using jobs = openJobs({ store: memoryJobStore() })
  const trace = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }
  jobs.use({
    add: async (addition, next) => {
      addition.trace = trace
      await next()
    },
  })
  instrument(undefined, { traces: false, meterProvider: new MeterProvider(), jobs: { main: jobs } })
  const ran = Promise.withResolvers<unknown>()
  jobs.use({
    handle: async (run, next) => {
      ran.resolve(run.trace)
      await next()
    },
  })
  await jobs
    .worker()
    .handle(Notify, () => {})
    .start()
  await jobs.add(Notify, { n: 1 })
  expect(await ran.promise).toEqual(trace)
})

test('without a bus and without jobs there is nothing to follow', () => {
  expect(() => instrument(undefined)).toThrow('bus: expected a bus, or jobs or outboxes')
})
