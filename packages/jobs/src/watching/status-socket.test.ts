import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { connect } from '@waybill/core'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineJob } from '../definition.ts'
import { openJobs } from '../jobs.ts'
import { memoryJobStore } from '../memory/memory-job-store.ts'
import { until } from '../stores.fixture.ts'
import { statusSocket } from './status-socket.ts'

const Steps = defineJob('steps', { input: z.number(), progress: z.number() })

const requestOf = (url: string, user = 'a') =>
  Object.assign(new IncomingMessage(new Socket()), { url, headers: { authorization: user } })

/** A socket whose client reads when the test says so. */
class TestSocket {
  readyState = 1
  bufferedAmount = 0
  readonly sent: {
    readonly kind: string
    readonly job: { readonly progress?: number; readonly state?: string }
  }[] = []
  closed: readonly (number | string | undefined)[] | undefined
  readonly #listeners: (() => void)[] = []

  send(text: string): void {
    this.sent.push(JSON.parse(text))
  }

  close(code?: number, reason?: string): void {
    this.closed ??= [code, reason]
    this.leave()
  }

  addEventListener(_: 'close' | 'error', listener: () => void): void {
    this.#listeners.push(listener)
  }

  leave(): void {
    this.readyState = 3
    for (const listener of this.#listeners) listener()
  }
}

async function open() {
  const bus = await connect({ url: 'memory:', console: false })
  const jobs = openJobs({ bus, store: memoryJobStore() })
  const steps = Promise.withResolvers<void>()
  let tell = (_: number) => {}
  const worker = jobs.worker().handle(Steps, async (_, { progress }) => {
    tell = progress
    await steps.promise
    return 'done'
  })
  await worker.start()
  const job = await jobs.add(Steps, 1, { id: 'steps/1' })
  await until(async () => (await job.get())?.state === 'active')
  return {
    jobs,
    job,
    tell: (step: number) => tell(step),
    end: () => steps.resolve(),
    async [Symbol.asyncDispose]() {
      steps.resolve()
      await jobs.close()
      await bus.close()
    },
  }
}

test('a client that reads slowly misses states in between, and not the last', async () => {
  await using opened = await open()
  const { jobs, tell, end, job } = opened
  const socket = new TestSocket()
  const showing = statusSocket(jobs)(socket, requestOf('/jobs/steps%2F1/status'))
  await until(() => socket.sent.length === 1)
  tell(1)
  await until(() => socket.sent.length === 2)
  socket.bufferedAmount = 100_000
  for (let step = 2; step <= 4; step += 1) {
    tell(step)
    await until(async () => (await job.get())?.progress === step)
  }
  end()
  await job.result()
  expect(socket.sent.length).toBeLessThanOrEqual(3)
  socket.bufferedAmount = 0
  expect(await showing).toBe(true)
  expect(socket.sent.length).toBeLessThanOrEqual(4)
  expect(socket.sent.at(-1)).toMatchObject({ kind: 'completed', job: { state: 'completed', progress: 4 } })
  expect(socket.closed).toEqual([1000, 'The job has ended'])
})

test('who leaves is told no more, and nobody learns of jobs that are not theirs', async () => {
  await using opened = await open()
  const { jobs } = opened
  const show = statusSocket(jobs, { path: '/work', allow: ({ headers }) => headers.authorization === 'a' })
  const leaving = new TestSocket()
  const showing = show(leaving, requestOf('/work/steps%2F1/status'))
  await until(() => leaving.sent.length === 1)
  leaving.leave()
  expect(await showing).toBe(true)
  for (const request of [requestOf('/work/steps%2F1/status', 'b'), requestOf('/work/nothing/status')]) {
    const socket = new TestSocket()
    expect(await show(socket, request)).toBe(true)
    expect([socket.sent, socket.closed]).toEqual([[], [4404, 'There is no such job']])
  }
  const other = new TestSocket()
  expect(await show(other, requestOf('/elsewhere'))).toBe(false)
  expect(other.closed).toBeUndefined()
  const last = new TestSocket()
  const watching = show(last, requestOf('/work/steps%2F1/status'))
  await until(() => last.sent.length === 1)
  opened.end()
  expect(await watching).toBe(true)
})

test('a store that fails, and jobs that are closed, are told by their codes', async () => {
  const failing = {
    get: () => Promise.reject(new Error('away')),
    async *watch() {},
  }
  const socket = new TestSocket()
  await statusSocket(failing)(socket, requestOf('/jobs/a/status'))
  expect(socket.closed).toEqual([1011, 'The job could not be read'])
  await using opened = await open()
  const last = new TestSocket()
  const showing = statusSocket(opened.jobs)(last, requestOf('/jobs/steps%2F1/status'))
  await until(() => last.sent.length === 1)
  opened.end()
  await opened.jobs.close()
  await showing
  expect(last.closed?.[0]).toBeOneOf([1000, 1001])
})
