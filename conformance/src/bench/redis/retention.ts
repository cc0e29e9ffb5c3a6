import assert from 'node:assert/strict'
import { fixed } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { Latch } from '../../case/latch.ts'
import type { Stage } from '../../case/stage.ts'
import { base } from './keys.ts'
import { plainly } from './plain-client.ts'

/** Nodes of a stream hold 100 entries (redis.conf, `stream-node-max-entries`), and only whole ones are trimmed. */
const nodeEntries = 100
/** A consumer looks every 1.5 s (`pollInterval`) whether it is time for housekeeping. */
const roundMs = 10_000

const lengthOf = (context: CaseContext, { topic }: Stage) =>
  plainly(context.harness.connection.url, (client) => client.xlen(`${base(topic)}:stream`))

/** Housekeeping is done every ten seconds; without this key it is done when a consumer of the group looks next. */
async function nextRound(context: CaseContext, { topic }: Stage): Promise<void> {
  const gate = `${base(topic)}:group:fast:tidied`
  await plainly(context.harness.connection.url, async (client) => {
    await client.del(gate)
    const isDone = async () => (await client.exists(gate)) === 1
    await context.eventually('housekeeping has been done', isDone, roundMs)
  })
}

/** Until housekeeping has looked at the topic since this was called, and again. */
async function untilTidied(context: CaseContext, stage: Stage): Promise<void> {
  for (let round = 1; round <= 2; round += 1) await nextRound(context, stage)
}

/** Until a round of housekeeping has led to something; a round may come before what is settled is settled at the broker. */
async function eventuallyTidied(
  context: CaseContext,
  stage: Stage,
  description: string,
  isSo: () => Promise<boolean>,
): Promise<void> {
  const isSoAfterARound = async () => {
    await nextRound(context, stage)
    return isSo()
  }
  await context.eventually(description, isSoAfterARound, 3 * roundMs)
}

async function stageOf(context: CaseContext, retention: object): Promise<Stage> {
  return context.stage({ topic: { groups: ['fast', 'slow'], native: { redis: { retention } } } })
}

export const retention: readonly Case[] = [
  {
    number: 201,
    part: 'a',
    title: 'Trimming by length keeps what some group has not read, and what it has in hand, however old',
    async run(context) {
      const maxLength = 200
      const stage = await stageOf(context, { maxLength })
      const fast = context.recorder()
      const slow = context.recorder()
      const stuck = new Latch()
      context.defer(() => stuck.open())
      await stage.consume(fast, { group: 'fast' })
      const sent = await stage.send(1500)
      await context.exactly(fast, sent)
      await untilTidied(context, stage)
      assert.equal(await lengthOf(context, stage), sent.length, 'nothing that "slow" has not read is gone')
      // Now it reads everything, and is stuck with the very first.
      await stage.consume(slow, { group: 'slow' }, ({ id }) =>
        id === sent[0]?.id ? stuck.passed() : undefined,
      )
      await context.exactly(slow, sent)
      await untilTidied(context, stage)
      assert.equal(await lengthOf(context, stage), sent.length, 'nothing from the one in hand on is gone')
      stuck.open()
      const isShort = async () => (await lengthOf(context, stage)) <= maxLength + nodeEntries + maxLength / 20
      await eventuallyTidied(context, stage, 'what all have settled is trimmed', isShort)
      assert.ok((await lengthOf(context, stage)) >= maxLength, 'the newest stay')
    },
  },
  {
    number: 201,
    part: 'b',
    title: 'Trimming by age keeps what some group has not settled, and stats() tells the memory',
    async run(context) {
      const stage = await stageOf(context, { maxLength: 100_000, maxAge: 500 })
      const fast = context.recorder()
      const slow = context.recorder()
      await stage.consume(fast, { group: 'fast' })
      const sent = await stage.send(1000)
      await context.exactly(fast, sent)
      await context.quiet(1000)
      await untilTidied(context, stage)
      assert.equal(await lengthOf(context, stage), sent.length)
      const bytes = async () =>
        Number((await stage.bus.group(stage.topic, 'slow').stats()).native?.topicBytes)
      const before = await bytes()
      assert.ok(before > sent.length * 100, `${before} bytes for ${sent.length} entries`)
      await stage.consume(slow, { group: 'slow' })
      await context.exactly(slow, sent)
      const isShort = async () => (await lengthOf(context, stage)) <= nodeEntries
      await eventuallyTidied(context, stage, 'what is old and settled is trimmed', isShort)
      assert.ok((await bytes()) < before / 2)
    },
  },
  {
    number: 201,
    part: 'c',
    title: 'Nothing settled stays in the streams of retries of a group',
    async run(context) {
      const stage = await stageOf(context, {})
      const recorder = context.recorder()
      await stage.consume(recorder, { group: 'fast', retry: { backoff: fixed(1) } }, (_, { attempt }) => {
        if (attempt === 1) throw new Error('fails once')
      })
      const sent = await stage.send(300)
      await context.exactly(recorder, [...sent, ...sent])
      const own = `${base(stage.topic)}:group:fast:stream`
      const isEmpty = () =>
        plainly(context.harness.connection.url, async (client) => (await client.xlen(own)) === 0)
      await eventuallyTidied(context, stage, 'they are empty', isEmpty)
    },
  },
]
