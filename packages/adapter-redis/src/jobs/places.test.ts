import type { JobRow } from '@waybill/jobs'
import { expect, test } from 'vitest'
import { idIn, jobKeys, kindOf, partsOf } from './job-keys.ts'
import { moves, placesOf } from './places.ts'
import { fromRevised, headOf, revised, storedJob } from './stored-job.ts'

const keys = jobKeys('waybill', 'main')

const row: JobRow = {
  id: 'mail:o-1',
  queue: '@orders/order.placed',
  name: 'send:mail',
  state: 'waiting',
  priority: 4,
  ordinal: 7,
  run: 1,
  version: 1,
  dueAt: 2000,
  sendAt: 2000,
  isSent: false,
  owner: undefined,
  leaseUntil: undefined,
  parent: 'flow',
  createdAt: 1000,
  updatedAt: 1000,
  finishedAt: undefined,
  removeAt: undefined,
  data: '{"to":"a"}',
  output: undefined,
  progress: undefined,
  attempt: 0,
  startedAt: undefined,
  details: { attempts: 3, history: [], log: [], keepMs: { completed: 1, failed: 1 } },
}

const shown = (places: readonly { key: string; member: string; score: number }[]) =>
  places.map(({ key, member, score }) => `${key.replace('waybill:jobs:{main}:', '')} ${member} ${score}`)

test('a job that waits for its time stands where it is listed, watched, and sent', () => {
  expect(shown(placesOf(keys, row, true))).toEqual([
    'kind:%40orders%2Forder.placed:send%3Amail:delayed 000000000001000:mail:o-1 0',
    'kind:%40orders%2Forder.placed:send%3Amail:changed mail:o-1 1000',
    'kind:%40orders%2Forder.placed:send%3Amail:due mail:o-1 2000',
    'send:fresh:4:@orders/order.placed 0000000007:mail:o-1 2000',
    'children:flow 000000000001000:mail:o-1 0',
  ])
  expect(placesOf(keys, row, false)).toHaveLength(4)
})

test('a change moves a job only where it stands elsewhere', () => {
  const active: JobRow = { ...row, state: 'active', owner: 'w', leaseUntil: 9000, updatedAt: 3000 }
  const { leave, enter } = moves(placesOf(keys, row, false), placesOf(keys, active, false))
  expect(shown(leave).map((place) => place.split(' ')[0])).toEqual([
    'kind:%40orders%2Forder.placed:send%3Amail:waiting',
    'send:fresh:4:@orders/order.placed',
  ])
  expect(shown(enter).map((place) => place.split(' ')[0])).toEqual([
    'kind:%40orders%2Forder.placed:send%3Amail:active',
    'kind:%40orders%2Forder.placed:send%3Amail:changed',
    'leases',
  ])
  expect(moves(placesOf(keys, active, false), placesOf(keys, active, false))).toEqual({
    leave: [],
    enter: [],
  })
})

test('a job is read as it was written', () => {
  const { revision, json } = fromRevised(revised('a.1', headOf(row, true)))
  expect(storedJob({ revision, json }, [row.data, undefined, undefined], undefined)).toEqual({
    revision: 'a.1',
    isLate: true,
    row,
  })
  expect(partsOf(kindOf(row))).toEqual({ queue: row.queue, name: row.name })
  expect(idIn('0000000007:mail:o-1')).toBe('mail:o-1')
})
