import { systemClock } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import type { Membership, TopicCommits } from '../client/group-coordinator.ts'
import { Committer } from './committer.ts'
import { emptyRecord, PartitionOffsets } from './offsets.ts'
import { Partition } from './partition.ts'

function partitionAt(offset: number): Partition {
  const options = { holder: 'me', suspects: 10, end: 1000, topicId: undefined }
  const offsets = new PartitionOffsets(offset, emptyRecord, options)
  return new Partition('orders', 0, 'main', offsets, { offset: String(offset), metadata: '' })
}

function protocolError(type: string): Error {
  return Object.assign(new Error(`the broker says ${type}`), { type })
}

interface Sent {
  readonly offsets: readonly string[]
  readonly generation: number
}

/** `answers`: in turn; the last one for all others. */
function committerWith(...answers: readonly (() => Promise<void>)[]) {
  const sent: Sent[] = []
  const refusals: string[] = []
  const committer = new Committer({
    clock: systemClock,
    intervalMs: 1,
    send: async (topics: readonly TopicCommits[], { generation }: Membership) => {
      const answer = answers[Math.min(sent.length, answers.length - 1)]
      const offsets = topics.flatMap(({ partitions }) => partitions.map(({ offset }) => offset))
      sent.push({ offsets, generation })
      await answer?.()
    },
    onCommitted: () => {},
    onRefused: ({ message }) => refusals.push(message),
  })
  return { committer, sent, refusals }
}

const of = (generation: number): Membership => ({ memberId: 'm', generation })

test('a commit bears the generation in which the partition was ours, and is not repeated in a later one', async () => {
  const { committer, sent } = committerWith(
    async () => {
      throw protocolError('ILLEGAL_GENERATION')
    },
    async () => {},
  )
  const old = partitionAt(5)
  committer.open([old], of(1))
  await committer.flush()
  await committer.pause()
  // It went to somebody else; another came.
  committer.open([partitionAt(70)], of(2))
  await committer.flush()
  await committer.flush()
  expect(sent).toEqual([
    { offsets: ['5'], generation: 1 },
    { offsets: ['70'], generation: 2 },
  ])
})

test('once it is paused nothing is committed, however late somebody asks', async () => {
  const { committer, sent } = committerWith(async () => {})
  committer.open([partitionAt(5)], of(1))
  await committer.pause()
  committer.wake(true)
  await committer.flush()
  expect(sent).toEqual([])
})

test('refused commits are counted, told once in a row, and tried again', async () => {
  const refuse = async () => {
    throw protocolError('GROUP_AUTHORIZATION_FAILED')
  }
  const { committer, sent, refusals } = committerWith(refuse, refuse, async () => {})
  committer.open([partitionAt(5)], of(1))
  await expect.poll(() => sent.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(3)
  await expect.poll(() => committer.refusals, { timeout: 10_000 }).toEqual({ count: 2, current: undefined })
  expect(refusals).toHaveLength(1)
  await committer.pause()
})

test('that the group moves on is no refusal', async () => {
  const { committer, refusals } = committerWith(async () => {
    throw protocolError('REBALANCE_IN_PROGRESS')
  })
  committer.open([partitionAt(5)], of(1))
  await committer.flush()
  await committer.pause()
  expect(committer.refusals.count).toBe(0)
  expect(refusals).toEqual([])
})
