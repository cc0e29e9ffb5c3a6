import assert from 'node:assert/strict'
import { defineMessage, defineTopic, type MessageDefinition } from '@waybill/core'
import { createTestBus } from '@waybill/core/testing'
import { describe, it } from 'vitest'
import { z } from 'zod'
import type { Database } from '../database.ts'
import { databases } from '../databases.fixture.ts'
import { defineSaga, type SagaDefinition } from './define-saga.ts'
import { withPromptOutbox } from './prompt-outbox.fixture.ts'
import { Saga } from './saga.ts'

const shop = defineTopic('shop')
const key = ({ orderId }: { orderId: string }) => orderId
const order = z.object({ orderId: z.string() })
const event = <Type extends string>(type: Type) => defineMessage(shop, type, { schema: order, key })

const OrderPlaced = defineMessage(shop, 'order.placed', {
  schema: z.object({ orderId: z.string(), total: z.int() }),
  key,
})
const OrderCancelled = event('order.cancelled')
const ReserveStock = event('stock.reserve')
const StockReserved = event('stock.reserved')
const StockRefused = defineMessage(shop, 'stock.refused', {
  schema: z.object({ orderId: z.string(), reason: z.string() }),
  key,
})
const ReleaseStock = event('stock.release')
const StockReleased = event('stock.released')
const ChargeCard = event('card.charge')
const CardCharged = defineMessage(shop, 'card.charged', {
  schema: z.object({ orderId: z.string(), receipt: z.string() }),
  key,
})
const CardDeclined = event('card.declined')
const RefundCard = event('card.refund')
const Confirm = event('order.confirm')

const checkout = defineSaga(
  'checkout',
  { data: z.object({ orderId: z.string(), total: z.int(), receipt: z.string().optional() }) },
  (saga) => [
    saga.startedBy(OrderPlaced, ({ data }) => ({ orderId: data.orderId, total: data.total })),
    saga.step('reserve stock', {
      run: ({ id, send }) => send(ReserveStock, { orderId: id }),
      done: saga.reply(StockReserved),
      refused: saga.reply(StockRefused, ({ message }) => message.data.reason),
      compensate: ({ id, send }) => send(ReleaseStock, { orderId: id }),
      compensated: saga.reply(StockReleased),
      timeout: '5m',
    }),
    saga.step('charge', {
      run: ({ id, send }) => send(ChargeCard, { orderId: id }),
      done: saga.reply(CardCharged, ({ message, update }) => update({ receipt: message.data.receipt })),
      refused: saga.reply(CardDeclined),
      compensate: ({ id, send }) => send(RefundCard, { orderId: id }),
      timeout: '1h',
    }),
    saga.step('confirm', { run: ({ id, send }) => send(Confirm, { orderId: id }) }),
    saga.on(OrderCancelled, ({ compensate }) => compensate('the customer cancelled')),
  ],
)

const everyDatabase = databases()
const id = 'o-1'

async function openOn<Data>(database: Database, definition: SagaDefinition<Data>) {
  const kit = await createTestBus({ topics: [shop] })
  const saga = new Saga(definition, withPromptOutbox(kit.bus, database))
  const consumer = saga.handleOn(kit.bus.consumer('sagas', { retry: { attempts: 3 } }))
  await consumer.start()
  const producer = kit.bus.producer()
  return {
    kit,
    database,
    saga,
    async tell<Input>(message: MessageDefinition<Input>, data: NoInfer<Input>) {
      await producer.send(message, data)
      await kit.idle()
    },
    sent: () => kit.sent.map(({ type }) => type).filter((type) => !type.startsWith('saga.')),
    kinds: async () =>
      (await saga.history(id)).map(({ kind, step }) => (step === undefined ? kind : `${kind}: ${step}`)),
    async letters() {
      const found = []
      for await (const letter of kit.bus.group(shop, 'sagas').deadLetters.list()) found.push(letter)
      return found
    },
    [Symbol.asyncDispose]: () => kit[Symbol.asyncDispose](),
  }
}

describe.each(everyDatabase)('a saga on $name', ({ ready }) => {
  const open = async <Data>(definition: SagaDefinition<Data>) => await openOn(await ready(), definition)

  it('takes its steps one after the other, each when the one before is done', async () => {
    await using shopping = await open(checkout)
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    assert.deepEqual(shopping.sent(), ['order.placed', 'stock.reserve'])
    assert.equal((await shopping.saga.state(id))?.step, 'reserve stock')
    await shopping.tell(StockReserved, { orderId: id })
    await shopping.tell(CardCharged, { orderId: id, receipt: 'r-1' })
    const state = await shopping.saga.state(id)
    assert.equal(state?.status, 'completed')
    assert.deepEqual(state?.data, { orderId: id, total: 42, receipt: 'r-1' })
    assert.deepEqual(state?.steps, { 'reserve stock': 'done', charge: 'done', confirm: 'done' })
    assert.equal(shopping.sent().at(-1), 'order.confirm')
    assert.deepEqual(await shopping.kinds(), [
      'started',
      'step-started: reserve stock',
      'step-done: reserve stock',
      'step-started: charge',
      'step-done: charge',
      'step-started: confirm',
      'step-done: confirm',
      'completed',
    ])
  })

  it('compensates in reverse what was done before a refusal, and not what was refused', async () => {
    await using shopping = await open(checkout)
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    await shopping.tell(StockReserved, { orderId: id })
    await shopping.tell(CardDeclined, { orderId: id })
    const compensating = await shopping.saga.state(id)
    assert.equal(compensating?.status, 'compensating')
    assert.equal(compensating?.step, 'reserve stock')
    await shopping.tell(StockReleased, { orderId: id })
    const state = await shopping.saga.state(id)
    assert.equal(state?.status, 'compensated')
    assert.deepEqual(state?.steps, { 'reserve stock': 'compensated', charge: 'refused' })
    assert.equal(state?.reason, '"charge" was refused by card.declined')
    assert.ok(!shopping.sent().includes('card.refund'))
  })

  it('takes the reason of a refusal from its handler', async () => {
    await using shopping = await open(checkout)
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    await shopping.tell(StockRefused, { orderId: id, reason: 'sold out' })
    const { status, reason } = (await shopping.saga.state(id)) ?? {}
    assert.deepEqual([status, reason], ['compensated', 'sold out'])
  })

  it('compensates a step that nobody answered in time, since it may have been done', async () => {
    await using shopping = await open(checkout)
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    await shopping.kit.advance('4m')
    await shopping.kit.idle()
    assert.equal((await shopping.saga.state(id))?.status, 'running')
    await shopping.kit.advance('1m')
    await shopping.kit.idle()
    assert.equal((await shopping.saga.state(id))?.steps['reserve stock'], 'compensating')
    assert.equal((await shopping.saga.state(id))?.reason, 'no answer to "reserve stock" within 5m')
    assert.equal(shopping.sent().at(-1), 'stock.release')
    await shopping.tell(StockReleased, { orderId: id })
    assert.equal((await shopping.saga.state(id))?.status, 'compensated')
  })

  it('asks for a compensation again when the step is done after it, once', async () => {
    await using shopping = await open(checkout)
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    await shopping.kit.advance('5m')
    await shopping.kit.idle()
    await shopping.tell(StockReleased, { orderId: id })
    await shopping.tell(StockReserved, { orderId: id })
    await shopping.tell(StockReserved, { orderId: id })
    assert.equal((await shopping.saga.state(id))?.status, 'compensated')
    assert.equal(shopping.sent().filter((type) => type === 'stock.release').length, 2)
    assert.deepEqual((await shopping.kinds()).slice(-2), ['compensated-again: reserve stock', 'ignored'])
  })

  it('asks for a compensation again whenever nobody has answered to it in time, and stays as idle as it was', async () => {
    const patient = defineSaga('patient', { data: order }, (saga) => [
      saga.startedBy(OrderPlaced, ({ data }) => ({ orderId: data.orderId })),
      saga.step('reserve stock', {
        run: ({ send }) => send(ReserveStock, { orderId: id }),
        done: saga.reply(StockReserved),
        compensate: ({ send }) => send(ReleaseStock, { orderId: id }),
        compensated: saga.reply(StockReleased),
        compensationTimeout: '1m',
      }),
      saga.step('charge', {
        run: ({ send }) => send(ChargeCard, { orderId: id }),
        done: saga.reply(CardCharged),
      }),
      saga.on(OrderCancelled, ({ compensate }) => compensate('the customer cancelled')),
    ])
    await using shopping = await open(patient)
    const released = () => shopping.sent().filter((type) => type === 'stock.release').length
    const wait = async () => {
      await shopping.kit.advance('1m')
      await shopping.kit.idle()
    }
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    await shopping.tell(StockReserved, { orderId: id })
    await shopping.tell(OrderCancelled, { orderId: id })
    const { updatedAt } = (await shopping.saga.state(id)) ?? {}
    await wait()
    await wait()
    assert.equal(released(), 3)
    const state = await shopping.saga.state(id)
    assert.deepEqual([state?.status, state?.updatedAt], ['compensating', updatedAt])
    assert.equal((await shopping.kinds()).at(-1), 'compensation-timed-out: reserve stock')
    await shopping.tell(StockReleased, { orderId: id })
    await wait()
    assert.equal((await shopping.saga.state(id))?.status, 'compensated')
    assert.equal(released(), 3)
  })

  it('ignores the timeout of a step that was answered', async () => {
    await using shopping = await open(checkout)
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    await shopping.tell(StockReserved, { orderId: id })
    await shopping.kit.advance('5m')
    await shopping.kit.idle()
    const { status, step } = (await shopping.saga.state(id)) ?? {}
    assert.deepEqual([status, step], ['running', 'charge'])
  })

  it('compensates the step that is waiting, too, when a free message asks for it', async () => {
    await using shopping = await open(checkout)
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    await shopping.tell(StockReserved, { orderId: id })
    await shopping.tell(OrderCancelled, { orderId: id })
    assert.deepEqual(shopping.sent().slice(-2), ['card.refund', 'stock.release'])
    await shopping.tell(CardCharged, { orderId: id, receipt: 'r-1' })
    assert.equal(shopping.sent().filter((type) => type === 'card.refund').length, 2)
  })

  it('ignores repeated answers and starts, and says so in its history', async () => {
    await using shopping = await open(checkout)
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    await shopping.tell(OrderPlaced, { orderId: id, total: 43 })
    await shopping.tell(StockReserved, { orderId: id })
    await shopping.tell(StockReserved, { orderId: id })
    const history = await shopping.saga.history(id)
    const ignored = history.filter(({ kind }) => kind === 'ignored').map(({ detail }) => detail)
    assert.deepEqual(ignored, ['already started', 'already answered'])
    assert.equal((await shopping.saga.state(id))?.data.total, 42)
    assert.equal(shopping.sent().filter((type) => type === 'card.charge').length, 1)
  })

  it('tells of an answer to a saga that does not exist in the dead letters, at once', async () => {
    await using shopping = await open(checkout)
    await shopping.tell(StockReserved, { orderId: 'o-2' })
    const [letter] = await shopping.letters()
    assert.equal(letter?.reason, 'permanent')
    assert.match(letter?.error?.message ?? '', /for saga "checkout" o-2, which does not exist/)
  })

  it('retries a free message whose saga may be about to start', async () => {
    await using shopping = await open(checkout)
    await shopping.tell(OrderCancelled, { orderId: id })
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    await shopping.kit.advance('1m')
    await shopping.kit.idle()
    assert.equal((await shopping.saga.state(id))?.reason, 'the customer cancelled')
    assert.deepEqual(await shopping.letters(), [])
  })

  it('changes nothing when a function throws, and is tried again', async () => {
    let fails = 1
    const failing = defineSaga('failing', { data: order }, (saga) => [
      saga.startedBy(OrderPlaced, ({ data }) => ({ orderId: data.orderId })),
      saga.step('send and fail', {
        run: ({ send }) => {
          send(ReserveStock, { orderId: id })
          if (fails-- > 0) throw new Error('not now')
        },
      }),
    ])
    await using shopping = await open(failing)
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    assert.equal(await shopping.saga.state(id), undefined)
    assert.deepEqual(await shopping.saga.history(id), [])
    await shopping.kit.advance('1m')
    await shopping.kit.idle()
    assert.equal((await shopping.saga.state(id))?.status, 'completed')
    assert.equal(shopping.sent().filter((type) => type === 'stock.reserve').length, 1)
  })

  it('sends a message whose change does not fit the schema to the dead letters', async () => {
    const strict = defineSaga('strict', { data: z.object({ total: z.int().max(50) }) }, (saga) => [
      saga.startedBy(OrderPlaced, ({ data: { total } }) => ({ total })),
      saga.on(StockReserved, ({ update }) => update({ total: 51 })),
    ])
    await using shopping = await open(strict)
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    await shopping.tell(StockReserved, { orderId: id })
    assert.match(
      (await shopping.letters())[0]?.error?.message ?? '',
      /saga "strict" o-1 does not fit its schema:\n {2}- total/,
    )
    assert.equal((await shopping.saga.state(id))?.data.total, 42)
  })

  it('says which row it cannot read, and leaves it as it is', async () => {
    await using shopping = await open(checkout)
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    const table = shopping.database.dialect.table('sagas')
    const progress = '{"steps":{"reserve stock":"teleported"}}'
    await shopping.database.query(`UPDATE ${table} SET progress = $1`, [progress])
    await assert.rejects(shopping.saga.state(id), {
      code: 'topology-mismatch',
      message: /saga "checkout" o-1 cannot be read/,
    })
    await shopping.tell(StockReserved, { orderId: id })
    const [row] = await shopping.database.query<{ progress: string }>(`SELECT progress FROM ${table}`)
    assert.equal(row?.progress, progress)
  })

  it('begins again with what it finds when somebody else has changed it meanwhile', async () => {
    let disturbances = 2
    const disturbed = defineSaga('disturbed', { data: order }, (saga) => [
      saga.startedBy(OrderPlaced, ({ data }) => ({ orderId: data.orderId })),
      saga.on(StockReserved, async ({ send, transaction }) => {
        send(Confirm, { orderId: id })
        if (disturbances-- > 0)
          await transaction.query(`UPDATE ${database.dialect.table('sagas')} SET version = version + 1`)
      }),
    ])
    const database = await ready()
    await using shopping = await openOn(database, disturbed)
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    await shopping.tell(StockReserved, { orderId: id })
    assert.equal((await shopping.saga.state(id))?.version, 2)
    assert.equal(shopping.sent().filter((type) => type === 'order.confirm').length, 1)
    assert.deepEqual(await shopping.letters(), [])
  })

  it('sends what it sends as caused by the message, in its conversation', async () => {
    await using shopping = await open(checkout)
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    const [placed] = shopping.kit.sentOf(OrderPlaced)
    const [reserve] = shopping.kit.sentOf(ReserveStock)
    assert.equal(reserve?.metadata.causationId, placed?.id)
    assert.equal(reserve?.metadata.correlationId, placed?.id)
  })

  it('is listed by status and idleness, page by page, and forgotten after its end', async () => {
    await using shopping = await open(checkout)
    for (const orderId of ['a', 'b', 'c']) await shopping.tell(OrderPlaced, { orderId, total: 1 })
    await shopping.tell(StockRefused, { orderId: 'b', reason: 'sold out' })
    const ids = async (options: Parameters<typeof shopping.saga.list>[0]) =>
      (await shopping.saga.list(options)).map((state) => state.id)
    assert.deepEqual(await ids({ status: 'running' }), ['a', 'c'])
    assert.deepEqual(await ids({ status: 'compensated' }), ['b'])
    assert.deepEqual(await ids({ limit: 2 }), ['a', 'b'])
    assert.deepEqual(await ids({ limit: 2, after: 'b' }), ['c'])
    assert.deepEqual(await ids({ idleFor: '1h' }), [])
    assert.equal(await shopping.saga.forget({ endedFor: '1h' }), 0)
    assert.equal(await shopping.saga.forget({ endedFor: 0 }), 1)
    assert.deepEqual(await ids({}), ['a', 'c'])
    assert.deepEqual(await shopping.saga.history('b'), [])
  })
})

describe.each(everyDatabase)('a saga without steps on $name', ({ ready }) => {
  const open = async <Data>(definition: SagaDefinition<Data>) => await openOn(await ready(), definition)

  const trial = defineSaga('trial', { data: order }, (saga) => [
    saga.startedBy(OrderPlaced, ({ data }) => ({ orderId: data.orderId }), {
      first: ({ become, timeout }) => {
        become('trying')
        timeout('reminder', '10s')
      },
    }),
    saga.on(
      StockReserved,
      ({ become, cancelTimeout }) => {
        become('bought')
        cancelTimeout('reminder')
      },
      { during: ['trying'] },
    ),
    saga.on(CardCharged, ({ complete }) => complete(), { during: ['bought'] }),
    saga.onTimeout('reminder', ({ id: orderId, send, timeout }) => {
      send(Confirm, { orderId })
      timeout('reminder', '10s')
    }),
  ])

  it('goes from state to state by its messages, and ignores those of other states', async () => {
    await using shopping = await open(trial)
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    await shopping.tell(CardCharged, { orderId: id, receipt: 'r-1' })
    assert.equal((await shopping.saga.state(id))?.step, 'trying')
    assert.equal((await shopping.saga.history(id)).at(-1)?.detail, 'not in this state')
    await shopping.tell(StockReserved, { orderId: id })
    await shopping.tell(CardCharged, { orderId: id, receipt: 'r-1' })
    assert.equal((await shopping.saga.state(id))?.status, 'completed')
    await shopping.tell(StockReserved, { orderId: id })
    assert.equal((await shopping.saga.history(id)).at(-1)?.detail, 'too late')
  })

  it('is called when a timeout is due, again after each renewal, and never after it was cancelled', async () => {
    await using shopping = await open(trial)
    const reminders = () => shopping.sent().filter((type) => type === 'order.confirm').length
    const wait = async (seconds: number) => {
      await shopping.kit.advance(seconds * 1000)
      await shopping.kit.idle()
    }
    await shopping.tell(OrderPlaced, { orderId: id, total: 42 })
    await wait(10)
    assert.equal(reminders(), 1)
    await wait(10)
    assert.equal(reminders(), 2)
    await shopping.tell(StockReserved, { orderId: id })
    await wait(20)
    assert.equal(reminders(), 2)
  })
})
