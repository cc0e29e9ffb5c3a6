import { expect, test } from 'vitest'
import { beginningOf } from './beginning.ts'
import { emptyRecord } from './offsets.ts'

const range = { start: 3, end: 10 }
const of = (topic: string) => JSON.stringify({ waybill: 1, topic })

test('a group goes on at what it committed, within what the broker has', () => {
  for (const offset of [3, 7, 10]) {
    const beginning = beginningOf({ offset, metadata: of('id') }, range, 'id')
    expect(beginning).toEqual({ offset, record: { ...emptyRecord, topicId: 'id' } })
  }
})

test.each([-1, -2])('a commit of %s is none, and means the earliest message', (offset) => {
  expect(beginningOf({ offset, metadata: '' }, range, 'id')).toEqual({ offset: 3, record: emptyRecord })
})

test('a commit beyond the end, or of a topic that was made again, means the earliest message, and is told', () => {
  for (const beginning of [
    beginningOf({ offset: 11, metadata: '' }, range, undefined),
    beginningOf({ offset: 7, metadata: of('old') }, range, 'new'),
  ]) {
    expect(beginning).toMatchObject({ offset: 3, record: emptyRecord, warning: expect.any(String) })
  }
})

test('what the broker removed before it was read is told', () => {
  expect(beginningOf({ offset: 1, metadata: '' }, range, undefined)).toMatchObject({
    offset: 3,
    warning: expect.stringContaining('from 1 to 2'),
  })
})

test('who does not know the topic’s id goes by the offsets', () => {
  expect(beginningOf({ offset: 7, metadata: of('old') }, range, undefined).offset).toBe(7)
  expect(beginningOf({ offset: 7, metadata: '' }, range, 'new').offset).toBe(7)
})
