import { expect, test } from 'vitest'
import { decode } from '../wire/messages.ts'
import { sortByTime } from './sort-by-time.ts'

function received(id: string, options: { readonly delayMs?: number; readonly group?: string } = {}) {
  const Attributes = {
    SentTimestamp: '0',
    ApproximateFirstReceiveTimestamp: '1000',
    ...(options.group !== undefined && { MessageGroupId: options.group }),
  }
  const waybill = { DataType: 'String', StringValue: JSON.stringify({ delayMs: options.delayMs ?? 0 }) }
  return decode(
    { MessageId: id, Body: '{}', Attributes, MessageAttributes: { waybill } },
    options.group !== undefined,
  )
}

const ids = (all: readonly { readonly id: string }[]) => all.map(({ id }) => id)

test('what is due is handed over, what is early waits', () => {
  const { due, early, behind } = sortByTime(
    [received('a'), received('b', { delayMs: 5000 }), received('c')],
    0,
  )
  expect([ids(due), ids(early), ids(behind)]).toEqual([['a', 'c'], ['b'], []])
})

test('what came in the same receive after an early message of its group does not overtake it', () => {
  const { due, early, behind } = sortByTime(
    [
      received('before', { group: 'held' }),
      received('early', { group: 'held', delayMs: 5000 }),
      received('behind', { group: 'held' }),
      received('later', { group: 'held', delayMs: 9000 }),
      received('free', { group: 'free' }),
    ],
    0,
  )
  expect([ids(due), ids(early), ids(behind)]).toEqual([['before', 'free'], ['early'], ['behind', 'later']])
})
