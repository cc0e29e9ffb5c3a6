import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from '@waybill/core'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineJob } from '../definition.ts'
import { openJobs } from '../jobs.ts'
import { memoryJobStore } from '../memory/memory-job-store.ts'
import { statusHandler } from './status-handler.ts'

const Secret = defineJob('secret', { input: z.object({ owner: z.string() }) })

test('who may not see a job cannot tell it from one that is not there', async () => {
  await using bus = await connect({ url: 'memory:', console: false })
  await using jobs = openJobs({ bus, store: memoryJobStore() })
  await jobs.add(Secret, { owner: 'a' }, { id: 'secret/1' })
  const status = statusHandler(jobs, {
    path: '/work',
    allow: ({ headers }, { data }) =>
      JSON.stringify(data) === JSON.stringify({ owner: headers.authorization }),
    show: ({ id, state }) => `${id} is ${state}`,
  })
  const server = createServer(async (request, response) => {
    if (!(await status(request, response))) response.writeHead(418).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const ask = async (path: string, method = 'GET', authorization = 'a') => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers: { authorization } })
    return [response.status, await response.text()]
  }
  expect(await ask('/work/secret%2F1/status')).toEqual([200, '"secret/1 is waiting"'])
  const hidden = await ask('/work/secret%2F1/status', 'GET', 'b')
  expect(hidden[0]).toBe(404)
  expect(await ask('/work/nothing/status')).toEqual(hidden)
  for (const [
    path,
    method,
  ] of [['/work/secret/1/status'], ['/work/%/status'], ['/jobs/x/status'], ['/work/x/status', 'POST']]) // biome-ignore format: one line
    expect((await ask(path ?? '', method))[0]).toBe(418)
  server.closeAllConnections()
  server.close()
})

test('options that are wrong are told', () => {
  expect(() => statusHandler({ get: async () => undefined, async *watch() {} }, { path: 'jobs' })).toThrow(
    'path: ',
  )
})
