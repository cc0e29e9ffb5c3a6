import type { Message } from 'kafkajs'
import { expect, test } from 'vitest'
import { groupByPartition } from './group-by-partition.ts'
import { kafkajsOwn } from './kafkajs-own.fixture.ts'

const theirs = kafkajsOwn<typeof groupByPartition>('kafkajs/src/producer/groupMessagesPerPartition.js')

const messages: Message[] = Array.from({ length: 50 }, (_, index) => ({ key: `k${index}`, value: 'v' }))
const partitionMetadata = Array.from({ length: 5 }, (_, partitionId) => ({
  partitionErrorCode: 0,
  partitionId,
  leader: 0,
  replicas: [0],
  isr: [0],
}))
const partitioner = ({ message }: { readonly message: Message }) => Number(String(message.key).slice(1)) % 3

test.each([0, 5])(
  'with %i partitions, the messages of each are those that kafkajs finds, in order',
  (count) => {
    const grouping = {
      topic: 't',
      partitionMetadata: partitionMetadata.slice(0, count),
      messages,
      partitioner,
    }
    expect(theirs).not.toBe(groupByPartition)
    expect(groupByPartition(grouping)).toEqual(theirs(grouping))
  },
)
