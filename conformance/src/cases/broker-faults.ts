import assert from 'node:assert/strict'
import { type Bus, healthProbes, type Message } from '@waybill/core'
import { MessagingError } from '@waybill/core/driver'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'
import type { Recorder } from '../case/recorder.ts'
import { refusal } from '../case/refusal.ts'
import type { Stage } from '../case/stage.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'

const disconnected = () =>
  new MessagingError('disconnected', 'cut by the case', { retryable: true, fate: 'unknown' })

/** Sends one after the other, on several connections at once, until it is stopped. */
class Load {
  readonly confirmed: Message[] = []
  readonly #ended: Promise<unknown>
  #running = true

  constructor(context: CaseContext, stage: Stage, bus: Bus, lanes: number) {
    const producer = bus.producer({ timeout: context.pace(60_000) })
    const send = async () => {
      while (this.#running) {
        this.confirmed.push(await producer.send(stage.message, { n: this.confirmed.length }))
        await context.work(5)
      }
    }
    this.#ended = Promise.all(Array.from({ length: lanes }, send))
    // Whoever stops it is told.
    this.#ended.catch(() => undefined)
  }

  /** Rejects when a send has. */
  async stop(): Promise<readonly Message[]> {
    this.#running = false
    await this.#ended
    return this.confirmed
  }
}

/** Waits until `count` more were sent and delivered than now. */
async function goesOn(context: CaseContext, load: Load, recorder: Recorder, count: number): Promise<void> {
  const sent = load.confirmed.length + count
  const delivered = recorder.deliveries.length + count
  try {
    await context.eventually(
      'sends and deliveries go on',
      () => load.confirmed.length >= sent && recorder.deliveries.length >= delivered,
      context.pace(60_000),
    )
  } catch (error) {
    const [sends, deliveries] = [sent - load.confirmed.length, delivered - recorder.deliveries.length]
    const missing = `${Math.max(0, sends)} sends and ${Math.max(0, deliveries)} deliveries`
    throw new Error(`Of ${count} each, ${missing} were missing`, { cause: error })
  }
}

export const brokerFaults: readonly Case[] = [
  {
    number: 84,
    part: 'a',
    title:
      'Through two restarts of the broker under load, one of them a crash, every confirmed message arrives',
    needs: ['restart'],
    alone: true,
    timeoutMs: 240_000,
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder, { concurrency: 4, prefetch: 8 })
      const load = new Load(context, stage, await context.bus(), 4)
      await goesOn(context, load, recorder, 50)
      await context.broker.restart()
      await goesOn(context, load, recorder, 50)
      await context.broker.kill()
      await context.broker.start()
      await goesOn(context, load, recorder, 50)
      const confirmed = await load.stop()
      // At each restart what was in hand is redelivered, and sends whose confirmation was lost are sent again.
      await context.exactly(recorder, confirmed, {
        duplicateBudget: 2 * (8 + 4),
        withinMs: context.pace(60_000),
      })
    },
  },
  {
    number: 84,
    part: 'b',
    title: 'While the broker is away the probes say live and not ready, and ready again when it is back',
    needs: ['restart'],
    alone: true,
    timeoutMs: 240_000,
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder)
      const probes = healthProbes(stage.bus)
      assert.deepEqual((await probes.health()).body.problems, [])
      assert.equal((await probes.ready()).code, 200)
      const isReady = async (wanted: boolean) => {
        assert.deepEqual(probes.live().body, { status: 'ok', problems: [] }, 'a restart would not help')
        return ((await probes.ready()).code === 200) === wanted
      }
      await context.broker.kill()
      await context.eventually('it is not ready', () => isReady(false), context.pace(60_000))
      await context.broker.start()
      await context.eventually('it is ready again', () => isReady(true), context.pace(120_000))
      await context.exactly(recorder, await stage.send(5), { withinMs: context.pace(60_000) })
    },
  },
  {
    number: 85,
    part: 'a',
    title: 'Sends and deliveries that fail for want of a connection are taken up again without help',
    async run(context) {
      let failures = 0
      const failsTwice = async <Result>(forward: () => Promise<Result>): Promise<Result> => {
        if (failures < 6) {
          failures += 1
          throw disconnected()
        }
        return forward()
      }
      const adapter = wrapAdapter(context.harness.adapter, {
        publish: (batch, forward) => failsTwice(() => forward(batch)),
        receive: (max, signal, forward) => failsTwice(() => forward(max, signal)),
      })
      const stage = await context.stage({ connect: { adapter } })
      const recorder = context.recorder()
      await stage.consume(recorder)
      const sent = await stage.send(20)
      await context.exactly(recorder, sent, { withinMs: context.pace(30_000) })
      assert.equal(failures, 6)
    },
  },
  {
    number: 85,
    part: 'b',
    title: 'Connections that are reset are made anew on both sides; every confirmed message arrives',
    needs: ['proxy'],
    timeoutMs: 180_000,
    async run(context) {
      const { options, proxy } = await context.proxied()
      const stage = await context.stage({ connect: options })
      const recorder = context.recorder()
      await stage.consume(recorder, { concurrency: 4, prefetch: 8, lease: context.pace(1000) })
      const load = new Load(context, stage, stage.bus, 4)
      for (let round = 0; round < 3; round += 1) {
        await goesOn(context, load, recorder, 30)
        proxy.reset()
      }
      await goesOn(context, load, recorder, 30)
      const confirmed = await load.stop()
      await context.exactly(recorder, confirmed, {
        duplicateBudget: 3 * (8 + 4),
        withinMs: context.pace(60_000),
      })
    },
  },
  {
    number: 85,
    part: 'c',
    title: 'When a connection says nothing for a while both sides recover; every confirmed message arrives',
    needs: ['proxy'],
    timeoutMs: 180_000,
    async run(context) {
      const { options, proxy } = await context.proxied()
      const stage = await context.stage({ connect: options })
      const recorder = context.recorder()
      await stage.consume(recorder, { concurrency: 4, prefetch: 8, lease: context.pace(1000) })
      const load = new Load(context, stage, stage.bus, 4)
      await goesOn(context, load, recorder, 30)
      proxy.blackhole()
      context.defer(() => proxy.heal())
      await context.quiet(context.pace(3000))
      proxy.heal()
      await goesOn(context, load, recorder, 30)
      const confirmed = await load.stop()
      // Leases may have run out meanwhile, and sends been repeated.
      await context.exactly(recorder, confirmed, {
        duplicateBudget: 2 * (8 + 4),
        withinMs: context.pace(60_000),
      })
    },
  },
  {
    number: 86,
    part: 'a',
    title: 'A consumer that lost its subscription shows in health and events until it has another',
    async run(context) {
      let broken = false
      const adapter = wrapAdapter(context.harness.adapter, {
        subscribe(request, forward) {
          if (broken) throw new MessagingError('topology-missing', 'deleted by the case')
          return forward(request)
        },
        async receive(max, signal, forward) {
          if (broken) throw new MessagingError('failed', 'closed by the case')
          // Comes back now and then, so that it notices.
          return forward(max, AbortSignal.any([signal, AbortSignal.timeout(50)]))
        },
      })
      const stage = await context.stage({ connect: { adapter } })
      const failures: string[] = []
      stage.bus.on('failure', ({ error }) => failures.push(error.message))
      const recorder = context.recorder()
      await stage.consume(recorder)
      assert.equal((await stage.bus.health()).status, 'up')
      broken = true
      await context.eventually('health shows it', async () => {
        const { status, consumers } = await stage.bus.health()
        return (
          status === 'degraded' && consumers[0]?.state === 'recovering' && consumers[0].error !== undefined
        )
      })
      await context.eventually('events show it', () => failures.some((text) => text.includes('by the case')))
      const sent = await stage.send(3)
      broken = false
      await context.exactly(recorder, sent, { withinMs: context.pace(30_000) })
      assert.equal((await stage.bus.health()).status, 'up')
    },
  },
  {
    number: 86,
    part: 'b',
    title: 'A consumer whose subscription is ended at the broker subscribes again',
    needs: ['breakSubscription'],
    timeoutMs: 90_000,
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder)
      const before = await stage.send(3)
      await context.exactly(recorder, before)
      await context.breakSubscription(stage.topic, stage.group)
      const after = await stage.send(3)
      await context.exactly(recorder, [...before, ...after], { withinMs: context.pace(30_000) })
      await context.eventually('health is good', async () => (await stage.bus.health()).status === 'up')
    },
  },
  {
    number: 87,
    part: 'a',
    title: 'With the broker down connect() fails within its timeout, saying why, or waits if asked to',
    async run(context) {
      let attempts = 0
      const cause = new Error('ECONNREFUSED')
      const downFor = (times: number) => {
        attempts = 0
        return wrapAdapter(context.harness.adapter, {
          async connect(forward) {
            attempts += 1
            if (attempts > times) return forward()
            throw new MessagingError('connection-failed', 'nobody listens', { retryable: true, cause })
          },
        })
      }
      const timeout = 500
      const refused = refusal(
        'connect',
        context.bus({ adapter: downFor(1000), timeout }),
        'connection-failed',
      )
      const error = await context.within('connect() fails', refused, timeout + 1000)
      assert.ok(error.message.includes('nobody listens'), `"${error.message}" does not say why`)
      assert.ok(attempts > 1, 'tried once only')
      const waiting = context.bus({ adapter: downFor(3), timeout: 'forever' })
      const bus = await context.within('connect() waits for the broker', waiting)
      assert.equal(attempts, 4)
      assert.equal((await bus.health()).status, 'up')
    },
  },
  {
    number: 87,
    part: 'b',
    title: 'With nobody at the address connect() fails within its timeout, or waits until somebody is',
    needs: ['proxy'],
    timeoutMs: 90_000,
    async run(context) {
      const { options, proxy } = await context.proxied()
      await proxy.refuse()
      const timeout = context.pace(1000)
      const refused = refusal('connect', context.bus({ ...options, timeout }), 'connection-failed')
      const error = await context.within('connect() fails', refused, timeout + context.pace(2000))
      assert.ok(error.retryable, 'not retryable')
      const waiting = context.bus({ ...options, timeout: 'forever' })
      await proxy.accept()
      const bus = await context.within('connect() waits for the broker', waiting, context.pace(30_000))
      assert.equal((await bus.health()).status, 'up')
    },
  },
]
