import assert from 'node:assert/strict'
import { fixed } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { Latch } from '../../case/latch.ts'
import { refusal } from '../../case/refusal.ts'
import type { Stage } from '../../case/stage.ts'
import { numbered, numberOf } from '../../fixtures/numbered.ts'
import type { Administration } from './administration.ts'

export function faults(administration: Administration): readonly Case[] {
  const deleteQueue = ({ topic, group }: Stage) =>
    administration.plainly((channel) => channel.deleteQueue(`${topic.name}:${group}`))

  /** Until the case ends, or what this resolves with is called. */
  async function raiseMemoryAlarm(context: CaseContext): Promise<() => Promise<void>> {
    const read = 'vm_memory_monitor:get_vm_memory_high_watermark().'
    const watermark = (await administration.control('eval', read)).trim()
    const clear = async () => {
      await administration.control('set_vm_memory_high_watermark', watermark)
    }
    context.defer(clear)
    await administration.control('set_vm_memory_high_watermark', '0.000001')
    return clear
  }

  return [
    {
      number: 130,
      title:
        'A consumer whose handlers are quick holds more, and again less when they are slow; all is handled once',
      needs: ['unsettled'],
      async run(context) {
        const stage = await context.stage()
        const recorder = context.recorder()
        const concurrency = 4
        const first = 2 * concurrency
        const most = 10 * first
        let handle: () => Promise<unknown> | undefined = () => undefined
        await stage.consume(recorder, { concurrency }, () => handle())
        const unsettled = () => context.unsettled(stage.topic, stage.group)
        const quick = await stage.send(1000)
        await context.exactly(recorder, quick)
        const latch = new Latch()
        context.defer(() => latch.open())
        handle = () => latch.passed()
        const stuck = await stage.send(200)
        await context.eventually('it holds more than at first', async () => (await unsettled()) > first)
        const held = await unsettled()
        // As many again may have been on the way when it last held less.
        assert.ok(held <= 2 * most, `${held} unsettled`)
        // From now on four of them take 100 ms, so that even one more than at first take long enough to hold less.
        handle = () => context.work(100)
        latch.open()
        await context.exactly(recorder, [...quick, ...stuck])
        const gate = new Latch()
        context.defer(() => gate.open())
        handle = () => gate.passed()
        const late = await stage.send(200)
        await context.eventually('it holds some', async () => (await unsettled()) >= concurrency)
        await context.quiet()
        const heldLate = await unsettled()
        assert.ok(heldLate <= first, `${heldLate} unsettled`)
        gate.open()
        await context.exactly(recorder, [...quick, ...stuck, ...late])
      },
    },
    {
      number: 131,
      title:
        'While a resource alarm lasts sends and retries wait, consumers go on, and what runs out of time was not sent',
      needs: ['restart', 'unsettled'],
      alone: true,
      async run(context) {
        const stage = await context.stage()
        const events: string[] = []
        stage.bus.on('blocked', ({ reason }) => events.push(`blocked by ${reason}`))
        stage.bus.on('unblocked', () => events.push('unblocked'))
        const recorder = context.recorder()
        const latch = new Latch()
        const retry = { backoff: fixed(context.pace(50)) }
        await stage.consume(recorder, { retry }, async (message, { attempt }) => {
          await latch.passed()
          if (numberOf(message) === 1 && attempt === 1) throw new Error('the first message fails once')
        })
        const before = await stage.send(3)
        await context.eventually('handlers run', () => recorder.inFlight === 3)
        const clear = await raiseMemoryAlarm(context)
        // The broker tells a connection of the alarm when it publishes.
        const first = stage.sendOne()
        await context.eventually('an event tells of it', () => events.length > 0)
        assert.match(events.join(), /^blocked by .*memory/)
        const hurried = stage.bus.producer({ timeout: context.pace(500) })
        const error = await refusal('a send', hurried.send(stage.message, { n: 100 }), 'timeout')
        assert.equal(error.fate, 'not-sent')
        assert.match(error.message, /memory/)
        const waiting = stage.send(20)
        latch.open()
        // The one that failed stays in hand: its copy cannot be sent.
        await context.eventually(
          'what was handled is acked',
          async () => (await context.unsettled(stage.topic, stage.group)) === 1,
        )
        const { status, driver } = await stage.bus.health()
        assert.notEqual(status, 'down')
        assert.match(String(driver.details.blocked), /memory/)
        const leaving = await context.bus()
        void leaving
          .producer()
          .send(stage.message, { n: 101 })
          .catch(() => undefined)
        await context.within('a bus closes meanwhile', leaving.close({ timeout: 500 }), context.pace(3000))

        await clear()
        const sent = [await first, ...(await waiting)]
        assert.deepEqual(events.slice(1), ['unblocked'])
        const [failing] = before
        assert.ok(failing)
        // The send of the bus that left was on the way, and may have been taken.
        await context.eventually('all arrive', () =>
          [...before, ...sent].every((message) => recorder.of(message).length > 0),
        )
        await context.eventually('the retry arrives', () => recorder.of(failing).length === 2)
        assert.ok(
          recorder.deliveries.every(({ message }) => numberOf(message) !== 100),
          'it was sent',
        )
        await context.eventually(
          'all is acked',
          async () => (await context.unsettled(stage.topic, stage.group)) === 0,
        )
      },
    },
    {
      number: 132,
      title: 'A consumer whose queue is deleted says so, makes it again, and goes on',
      async run(context) {
        const stage = await context.stage()
        const failures: string[] = []
        stage.bus.on('failure', ({ error }) => failures.push(`${error.code}: ${error.message}`))
        const recorder = context.recorder()
        await stage.consume(recorder)
        const before = await stage.send(3)
        await context.exactly(recorder, before)
        await deleteQueue(stage)
        await context.eventually('an event tells of it', () => failures.length > 0)
        assert.match(failures.join(), new RegExp(`^topology-missing: .*${stage.topic.name}:${stage.group}`))
        const after = await stage.send(3)
        await context.exactly(recorder, [...before, ...after])
        await context.eventually('health is good', async () => (await stage.bus.health()).status === 'up')
      },
    },
    {
      number: 133,
      title:
        'A send that comes back because a declared group lost its queue, or the exchange is gone, is sent again',
      async run(context) {
        const stage = await context.stage()
        await stage.send(1)
        await deleteQueue(stage)
        const returned = await stage.send(50)
        await administration.plainly((channel) => channel.deleteExchange(stage.topic.name))
        const refused = await stage.send(50)
        const recorder = context.recorder()
        await stage.consume(recorder)
        // A channel that closes over one of several messages leaves the fate of the others unknown.
        await context.exactly(recorder, [...returned, ...refused], { duplicateBudget: 50 })
      },
    },
    {
      number: 134,
      title: 'A message that no group wants is dropped with one warning a type, or refused if asked to',
      async run(context) {
        const topic = context.topic({ groups: [{ name: 'billing', types: ['order.*'] }] })
        const unwanted = numbered(topic, 'invoice.paid')
        const bus = await context.bus({ topics: [topic] })
        const warnings: string[] = []
        bus.on('warning', ({ message }) => warnings.push(message))
        for (let n = 0; n < 3; n += 1) await bus.producer().send(unwanted, { n })
        assert.equal(warnings.length, 1, warnings.join('; '))
        assert.match(warnings.join(), new RegExp(`invoice\\.paid on topic ${topic.name} reaches no group`))
        const strict = await context.bus({
          topics: [topic],
          native: { rabbitmq: { unroutable: 'reject' } },
        })
        const error = await refusal('the send', strict.producer().send(unwanted, { n: 3 }), 'rejected')
        assert.equal(error.fate, 'not-sent')
        assert.ok(!error.retryable, 'retryable')
        // The connection is still good.
        const wanted = numbered(topic, 'order.created')
        const recorder = context.recorder()
        await strict.consumer('billing').on(wanted, recorder.handler()).start()
        await context.exactly(recorder, [await strict.producer().send(wanted, { n: 4 })])
      },
    },
    {
      number: 135,
      title: "A message that has come back more often than the broker's own limit of 20 is still delivered",
      async run(context) {
        const stage = await context.stage()
        const sent = await stage.sendOne()
        await administration.plainly(async (channel) => {
          for (let returned = 0; returned < 25; ) {
            const message = await channel.get(`${stage.topic.name}:${stage.group}`)
            if (message === false) continue
            channel.reject(message, true)
            returned += 1
          }
        })
        const recorder = context.recorder()
        await stage.consume(recorder, { maxDeliveries: 100 })
        await context.exactly(recorder, [sent])
        assert.equal(recorder.deliveries[0]?.deliveries, 26)
      },
    },
    {
      number: 136,
      title: 'What a handler holds longer than the consumer timeout is taken from it, and delivered again',
      needs: ['restart'],
      alone: true,
      timeoutMs: 120_000,
      async run(context) {
        // How often the broker looks is a matter of minutes otherwise; it holds for channels opened from now on.
        const setTick = (ms: number) =>
          administration.control('eval', `application:set_env(rabbit, channel_tick_interval, ${ms}).`)
        await setTick(500)
        context.defer(() => setTick(60_000))
        const rabbitmq = { queueArguments: { 'x-consumer-timeout': 2000 } }
        const stage = await context.stage({
          topic: { groups: [context.unique('group')], native: { rabbitmq } },
        })
        const failures: string[] = []
        stage.bus.on('failure', ({ error }) => failures.push(error.message))
        const recorder = context.recorder()
        let lost = 0
        await stage.consume(recorder, {}, async (_, { deliveries, signal }) => {
          if (deliveries > 1) return
          await new Promise((resolve) => {
            signal.addEventListener('abort', resolve)
          })
          lost += 1
        })
        const sent = await stage.sendOne()
        await context.exactly(recorder, [sent, sent])
        assert.equal(lost, 1)
        assert.match(failures.join(), /timed out|cancelled/i)
        await context.eventually('health is good', async () => (await stage.bus.health()).status === 'up')
      },
    },
    {
      number: 137,
      title: 'A timeout of its own is given to consumers, or refused where the broker would ignore it',
      async run(context) {
        const { version } = (await (await context.bus()).health()).driver.details
        const connecting = context.bus({ native: { rabbitmq: { consumerTimeout: '1h' } } })
        const [major = 0, minor = 0] = String(version).split('.').map(Number)
        if (major > 4 || (major === 4 && minor >= 3)) {
          const stage = await context.stage({ bus: await connecting })
          const recorder = context.recorder()
          await stage.consume(recorder)
          await context.exactly(recorder, await stage.send(1))
        } else {
          const { message } = await refusal('connect', connecting, 'unsupported')
          for (const part of ['consumerTimeout', String(version), 'x-consumer-timeout']) {
            assert.ok(message.includes(part), `"${message}" does not name ${part}`)
          }
        }
      },
    },
    {
      number: 146,
      title:
        'Handlers that block the event loop for longer than the heartbeats allow finish each message once',
      needs: ['restart'],
      timeoutMs: 180_000,
      async run(context) {
        const stage = await context.stage()
        const sent = await stage.send(7)
        const { url } = context.harness.connection
        const child = context.child('consumer-program', {
          connection: { url, native: { rabbitmq: { heartbeat: 1000 } } },
          topic: stage.topic,
          group: stage.group,
          options: { concurrency: 4 },
          // The broker hangs up after two heartbeats, at the latest a heartbeat later.
          behaviour: { kind: 'block', durationMs: 3500 },
        })
        const handled = () => child.of('delivered').map(({ id }) => id)
        await context.eventually('all are handled', () => new Set(handled()).size === sent.length, 120_000)
        await context.eventually(
          'all are acked',
          async () => {
            const rows = await administration.list('list_queues', 'name', 'messages')
            return rows.some(
              ([name, count]) => name === `${stage.topic.name}:${stage.group}` && count === '0',
            )
          },
          120_000,
        )
        // A round of its own for each message that the broker takes back would be more than twice as many.
        assert.ok(handled().length <= sent.length + 4, `${handled().length} runs of ${sent.length} messages`)
      },
    },
  ]
}
