import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Bus } from '@waybill/core'
import {
  databaseJobStore,
  flowStep,
  inSequence,
  type Jobs,
  openJobs,
  statusHandler,
  statusSocket,
} from '@waybill/jobs'
import { sqlite } from '@waybill/sqlite'
import { AcceptedSocket } from './accepted-socket.ts'
import { Analyse, Extract, Notify, Store } from './definitions.ts'
import { page } from './page.ts'
import { handleSteps } from './work.ts'

export interface Pipeline extends AsyncDisposable {
  /** Where the page is. */
  readonly address: string
  /** What owners were told. */
  readonly told: readonly string[]
  /** The number of words of each document that was stored. */
  documents(): Promise<readonly { readonly id: string; readonly words: number }[]>
}

/** Opens the pipeline: a worker for all steps, and a server with the page. Port 0 is any that is free. */
export async function openPipeline(bus: Bus, port = 0): Promise<Pipeline> {
  const database = sqlite({ path: ':memory:' })
  await database.migrate()
  await database.query('CREATE TABLE documents (id text PRIMARY KEY, words integer NOT NULL)')
  const jobs = openJobs({ bus, store: databaseJobStore(database) })
  const told: string[] = []
  await handleSteps(jobs.worker(), database, (line) => told.push(line)).start()
  const status = statusHandler(jobs)
  const server = createServer((request, response) => {
    answer(request, response, jobs, status).catch(() => response.destroy())
  })
  const show = statusSocket(jobs)
  server.on('upgrade', async (request, stream) => {
    const socket = new AcceptedSocket(request, stream)
    if (!(await show(socket, request))) socket.close()
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    address: `http://127.0.0.1:${typeof address === 'object' ? address?.port : port}`,
    told,
    documents: () => database.query('SELECT id, words FROM documents ORDER BY id'),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await jobs.close()
      await database.close()
    },
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  jobs: Jobs,
  status: ReturnType<typeof statusHandler>,
): Promise<void> {
  if (await status(request, response)) return
  if (request.method === 'POST' && request.url === '/documents') {
    const steps = await upload(jobs, await text(request))
    response.writeHead(202, { 'content-type': 'application/json' }).end(JSON.stringify({ steps }))
  } else if (request.method === 'GET' && request.url === '/') {
    response.writeHead(200, { 'content-type': 'text/html' }).end(page)
  } else response.writeHead(404).end()
}

/** Resolves with the ids of the steps, the first to run first. */
async function upload(jobs: Jobs, content: string): Promise<readonly string[]> {
  const documentId = randomUUID()
  const flow = inSequence([
    flowStep(Extract, { documentId, text: content }),
    flowStep(Analyse, { documentId }),
    flowStep(Store, { documentId }),
    flowStep(Notify, { documentId, owner: 'the owner' }),
  ])
  const { id } = await jobs.addFlow(flow, { id: `document:${documentId}` })
  return [`${id}/0/0/0`, `${id}/0/0`, `${id}/0`, id]
}
