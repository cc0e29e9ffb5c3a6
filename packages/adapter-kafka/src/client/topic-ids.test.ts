import { expect, test } from 'vitest'
import { decodeTopicIds, encodeTopicIds } from './topic-ids.ts'

test('the ids of topics are asked for by name', () => {
  // No tags; one topic without id, with its name; neither creation nor rights; no tags.
  const expected = `00 02 ${'00 '.repeat(16)}02 61 00 00 00 00`
  expect(encodeTopicIds(['a']).toString('hex')).toBe(expected.replaceAll(' ', ''))
})

test('an answer is read over what is not asked for: brokers, partitions, topics that are not there', () => {
  const id = 'ab'.repeat(16)
  const answer = [
    '00 00000000',
    // A broker with a rack, and one without.
    '03 00000001 03 6161 00002384 02 61 00',
    '00000002 03 6262 00002384 00 00',
    '03 6363 00000001',
    '03',
    `0000 02 61 ${id} 00`,
    // A partition with two replicas in sync.
    '02 0000 00000000 00000001 00000000 03 00000001 00000002 03 00000001 00000002 01 00',
    '80000000 00',
    `0003 02 62 ${'00'.repeat(16)} 00 01 80000000 00`,
    '00',
  ].join(' ')
  const ids = decodeTopicIds(Buffer.from(answer.replaceAll(' ', ''), 'hex'))
  expect(ids).toEqual(new Map([['a', Buffer.from(id, 'hex').toString('base64url')]]))
})
