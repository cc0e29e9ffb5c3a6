import assert from 'node:assert/strict'
import { fixed, PermanentError } from '@waybill/core'
import { MessagingError } from '@waybill/core/driver'
import type { Case } from '../case/case.ts'
import type { Stage } from '../case/stage.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'
import { numberOf } from '../fixtures/numbered.ts'

const hopeless = () => {
  throw new PermanentError('hopeless')
}

async function isEmpty({ bus, topic, group }: Stage): Promise<boolean> {
  const { waiting = 0, inFlight = 0, delayed = 0 } = await bus.group(topic, group).stats()
  return waiting + inFlight + delayed === 0
}

export const deadLetters: readonly Case[] = [
  {
    number: 44,
    title: 'A message that is given up is with the dead letters once, and gone from the group',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const consumer = await stage.consume(recorder, {}, hopeless)
      const sent = await stage.send(3)
      await context.exactly(recorder, sent)
      await context.eventually('the group is empty', () => isEmpty(stage))
      await consumer.stop()
      const after = context.recorder()
      await stage.consume(after)
      await context.exactly(after, [await stage.sendOne()])
      const letters = await stage.deadLetters()
      assert.deepEqual(letters.map(({ message }) => message?.id).sort(), sent.map(({ id }) => id).sort())
      assert.equal(new Set(letters.map(({ id }) => id)).size, 3, 'letters share an id')
    },
  },
  {
    number: 45,
    part: 'a',
    title: 'A dead letter keeps the body byte for byte, plus reason, origin, time and attempts',
    async run(context) {
      const bodies: Uint8Array[] = []
      const adapter = wrapAdapter(context.harness.adapter, {
        publish(batch, forward) {
          bodies.push(...batch.map(({ body }) => body))
          return forward(batch)
        },
      })
      const stage = await context.stage({ connect: { adapter } })
      const startedAt = Date.now()
      const error = new RangeError(`out of range ${'x'.repeat(100_000)}`)
      await stage.consume(
        context.recorder(),
        { retry: { attempts: 3, backoff: fixed(context.pace(50)) } },
        () => {
          throw error
        },
      )
      const sent = await stage.sendOne({ metadata: { tenant: 'acme' } })
      await context.eventually('it is a dead letter', async () => (await stage.deadLetters()).length === 1)
      const [letter] = await stage.deadLetters()
      assert.ok(letter)
      assert.deepEqual(Buffer.from(letter.body), Buffer.from(bodies[0] ?? []))
      assert.deepEqual(letter.message, sent)
      assert.equal(letter.topic, stage.topic.name)
      assert.equal(letter.group, stage.group)
      assert.equal(letter.reason, 'attempts-exhausted')
      assert.equal(letter.attempts, 3)
      assert.equal(letter.error?.name, 'RangeError')
      assert.ok(letter.error.message.startsWith('out of range'), letter.error.message)
      const stack = letter.error.stack ?? ''
      assert.ok(stack.includes('RangeError'), 'no stack')
      assert.ok(letter.error.message.length + stack.length < 16 * 1024, 'the error is not bounded')
      const { firstFailedAt, failedAt } = letter
      assert.ok(firstFailedAt && failedAt)
      assert.ok(startedAt <= firstFailedAt.getTime(), 'failed before it was sent')
      const betweenMs = failedAt.getTime() - firstFailedAt.getTime()
      assert.ok(
        betweenMs >= 2 * context.pace(50) - 5,
        `only ${betweenMs} ms between the first and the last failure`,
      )
      assert.ok(failedAt.getTime() <= Date.now(), 'failed in the future')
    },
  },
  {
    number: 45,
    part: 'b',
    title: 'A foreign body is kept byte for byte, with its content type and headers',
    needs: ['publishRaw'],
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder)
      const body = Uint8Array.from({ length: 256 }, (_, index) => index)
      const foreign = { type: 'number.sent', body, contentType: 'image/png', headers: { tenant: 'acme' } }
      await context.publishRaw(stage.topic, foreign)
      await context.eventually('it is a dead letter', async () => (await stage.deadLetters()).length === 1)
      const [letter] = await stage.deadLetters()
      assert.ok(letter)
      assert.deepEqual(Buffer.from(letter.body), Buffer.from(body))
      assert.equal(letter.contentType, 'image/png')
      assert.equal(letter.headers.tenant, 'acme')
      assert.equal(letter.message, undefined)
      assert.equal(recorder.deliveries.length, 0)
    },
  },
  {
    number: 46,
    part: 'a',
    title: 'While the dead letters cannot be written the message stays with its group',
    async run(context) {
      let refusals = 0
      const adapter = wrapAdapter(context.harness.adapter, {
        async settle(settlements, forward) {
          const toDeadLetters = settlements.filter(({ verdict }) => verdict.kind === 'dead-letter')
          refusals += toDeadLetters.length
          const others = await forward(
            settlements.filter((settlement) => !toDeadLetters.includes(settlement)),
          )
          const outcomes = others.values()
          return settlements.map((settlement) => {
            if (!toDeadLetters.includes(settlement))
              return outcomes.next().value ?? assert.fail('too few outcomes')
            return {
              ok: false,
              error: new MessagingError('rejected', 'the dead letters are full', { retryable: true }),
            }
          })
        },
      })
      const stage = await context.stage()
      const failing = await context.bus({ adapter })
      const failed = context.recorder()
      await stage.consume(failed, { bus: failing }, hopeless)
      const sent = await stage.sendOne()
      await context.eventually('the dead letter was refused', () => refusals > 0)
      await context.quiet()
      assert.equal((await stage.deadLetters()).length, 0)
      await failing.close({ timeout: context.pace(500) })
      const recorder = context.recorder()
      await stage.consume(recorder)
      await context.exactly(recorder, [sent], {
        withinMs: context.capabilities.redeliveryMs + context.pace(15_000),
      })
    },
  },
  {
    number: 46,
    part: 'b',
    title:
      'While the broker refuses dead letters the message stays with its group, and is moved once it accepts them',
    needs: ['failDeadLetterWrites'],
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const heal = await context.failDeadLetterWrites(stage.topic, stage.group)
      const failures: string[] = []
      stage.bus.on('failure', ({ what }) => failures.push(what))
      await stage.consume(recorder, { retry: { attempts: 1 } }, hopeless)
      const sent = await stage.sendOne()
      await context.eventually('the failure is reported', () => failures.length > 0)
      assert.equal(await isEmpty(stage), false, 'the source is empty although there is no dead letter')
      await heal()
      const moved = async () => (await stage.deadLetters()).some(({ message }) => message?.id === sent.id)
      await context.eventually('it is a dead letter', moved, context.pace(30_000))
    },
  },
  {
    number: 47,
    title:
      'Replaying one, some or all letters sends them back to the failing group only, with attempts starting anew',
    needs: ['severalGroups'],
    async run(context) {
      const stage = await context.stage({
        topic: { groups: [context.unique('failing'), context.unique('content')] },
      })
      const content = context.recorder()
      await stage.consume(content, { group: stage.topic.groups[1]?.name ?? '' })
      const recorder = context.recorder()
      let healed = false
      const retry = { attempts: 2, backoff: fixed(context.pace(50)) }
      await stage.consume(recorder, { retry }, () => {
        if (!healed) throw new Error('fails until healed')
      })
      const sent = await stage.send(5)
      await context.eventually('all are dead letters', async () => (await stage.deadLetters()).length === 5)
      const failed = [...sent, ...sent]
      await context.exactly(recorder, failed)
      healed = true
      const store = stage.bus.group(stage.topic, stage.group).deadLetters
      const letters = await stage.deadLetters()
      const [one, ...rest] = letters
      assert.ok(one)
      const messagesOf = (some: typeof letters) => some.flatMap(({ message }) => message ?? [])

      assert.deepEqual(await store.replay(one.id), { replayed: 1, missing: [] })
      await context.exactly(recorder, [...failed, ...messagesOf([one])])
      const some = rest.slice(0, 2)
      const asked = [one.id, ...some.map(({ id }) => id)]
      assert.deepEqual(await store.replay(asked), { replayed: 2, missing: [one.id] })
      await context.exactly(recorder, [...failed, ...messagesOf([one, ...some])])
      assert.deepEqual(
        (await stage.deadLetters()).map(({ id }) => id).sort(),
        rest
          .slice(2)
          .map(({ id }) => id)
          .sort(),
      )
      assert.deepEqual(await store.replay(one.id), { replayed: 0, missing: [one.id] })
      assert.equal(await store.replayAll(), 2)
      await context.exactly(recorder, [...failed, ...sent])
      assert.equal(await store.count(), 0)
      assert.ok(
        recorder.deliveries.slice(10).every(({ attempt }) => attempt === 1),
        'a replayed message did not start with attempt 1',
      )
      await context.exactly(content, sent)
    },
  },
  {
    number: 48,
    title: '5,000 dead letters can be counted and listed, page by page, as often as one likes',
    timeoutMs: 180_000,
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder, { concurrency: 100 }, hopeless)
      const sent = await stage.sendBatch(context.load(5000), { timeout: context.pace(30_000) })
      const store = stage.bus.group(stage.topic, stage.group).deadLetters
      const all = async () => (await store.count()) === sent.length
      await context.eventually('all are dead letters', all, context.pace(90_000))
      const expected = sent.map(({ id }) => id).sort()
      for (let round = 0; round < 2; round += 1) {
        const letters = await context.within(
          'the letters are listed',
          stage.deadLetters(),
          context.pace(60_000),
        )
        assert.equal(letters.length, sent.length)
        assert.deepEqual(letters.map(({ message }) => message?.id).sort(), expected)
      }
      assert.equal(await store.count(), sent.length)
      assert.equal(recorder.deliveries.length, sent.length, 'listing led to deliveries')
    },
  },
  {
    number: 49,
    title: 'Discarded letters are gone for good, the others stay',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder, {}, (message) => {
        if (numberOf(message) <= 5) hopeless()
      })
      const sent = await stage.send(5)
      await context.eventually('all are dead letters', async () => (await stage.deadLetters()).length === 5)
      const store = stage.bus.group(stage.topic, stage.group).deadLetters
      const [one, ...others] = await stage.deadLetters()
      assert.ok(one)
      assert.deepEqual(await store.discard(one.id), { discarded: 1, missing: [] })
      assert.deepEqual(
        (await stage.deadLetters()).map(({ id }) => id),
        others.map(({ id }) => id),
      )
      assert.deepEqual(await store.discard([one.id]), { discarded: 0, missing: [one.id] })
      assert.equal(await store.discardAll(), 4)
      assert.equal(await store.count(), 0)
      await context.exactly(recorder, [...sent, await stage.sendOne()])
    },
  },
  {
    number: 50,
    title: 'The dead letters of one group are not those of another',
    needs: ['severalGroups'],
    async run(context) {
      const stage = await context.stage({
        topic: { groups: [context.unique('odd'), context.unique('even')] },
      })
      const groups = stage.topic.groups.map(({ name }, index) => ({
        name,
        failing: (n: number) => n % 2 !== index,
      }))
      for (const { name, failing } of groups) {
        await stage.consume(context.recorder(), { group: name }, (message) => {
          if (failing(numberOf(message))) hopeless()
        })
      }
      const sent = await stage.send(10)
      for (const { name, failing } of groups) {
        const expected = sent.filter((message) => failing(numberOf(message))).map(({ id }) => id)
        const listed = async () => (await stage.deadLetters(name)).map(({ message }) => message?.id).sort()
        await context.eventually('its five are dead letters', async () => (await listed()).length === 5)
        assert.deepEqual(await listed(), expected.sort())
      }
      const [odd, even] = groups
      assert.ok(odd && even)
      assert.equal(await stage.bus.group(stage.topic, odd.name).deadLetters.discardAll(), 5)
      assert.equal(await stage.bus.group(stage.topic, even.name).deadLetters.count(), 5)
    },
  },
]
