import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import { connect } from '@waybill/core'
import { it } from 'vitest'
import { openPipeline } from './pipeline.ts'

it('works on a document step by step, and shows how far it is', async () => {
  await using bus = await connect({ url: 'memory:', console: false })
  await using pipeline = await openPipeline(bus)
  const body = 'words of which the longest is incomprehensibilities '.repeat(1000)
  const uploaded = await fetch(`${pipeline.address}/documents`, { method: 'POST', body })
  const { steps } = JSON.parse(await uploaded.text())
  assert.equal(uploaded.status, 202)
  const statusOf = (id: string, accept: string) =>
    fetch(`${pipeline.address}/jobs/${encodeURIComponent(id)}/status`, { headers: { accept } })
  const socket = new WebSocket(
    `${pipeline.address.replace('http', 'ws')}/jobs/${encodeURIComponent(steps.at(-1))}/status`,
  )
  const seen: { readonly kind: string; readonly job: { readonly state: string } }[] = []
  socket.addEventListener('message', ({ data }) => seen.push(JSON.parse(String(data))))
  const closed = new Promise<number>((resolve) => {
    socket.addEventListener('close', ({ code }) => resolve(code))
  })
  // The stream of the last step ends with it.
  const events = await statusOf(steps.at(-1), 'text/event-stream')
  assert.ok(events.body)
  const streamed = await text(events.body)
  assert.match(streamed, /^id: \d+\nevent: waiting-for-children\ndata: \{/)
  assert.match(streamed, /event: completed\ndata: [^\n]*"words":7000[^\n]*\n\n$/)
  assert.equal(await closed, 1000)
  assert.deepEqual([seen[0]?.kind, seen.at(-1)?.job.state], ['waiting-for-children', 'completed'])
  const extracted = JSON.parse(await (await statusOf(steps[0], 'application/json')).text())
  assert.deepEqual([extracted.state, extracted.progress], ['completed', 1])
  assert.equal((await statusOf('nobody', 'application/json')).status, 404)
  const nobody = new WebSocket(`${pipeline.address.replace('http', 'ws')}/jobs/nobody/status`)
  const code = await new Promise((resolve) =>
    nobody.addEventListener('close', (event) => resolve(event.code)),
  )
  assert.equal(code, 4404)
  const [document] = await pipeline.documents()
  assert.equal(document?.words, 7000)
  assert.equal(pipeline.told.length, 1)
  assert.equal((await fetch(pipeline.address)).status, 200)
})
