import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Consumer,
  connect,
  defineMessage,
  defineTopic,
  fixed,
  type HandlerContext,
  type MessageDefinition,
  memory,
} from '@waybill/core'
import { sqlite } from '@waybill/sqlite'
import { describe, it } from 'vitest'
import { z } from 'zod'
import type { Database } from '../database.ts'
import type { Transaction } from '../transaction.ts'
import { defineSaga } from './define-saga.ts'
import { MortalProcess } from './mortal-process.fixture.ts'
import { Saga } from './saga.ts'

const order = z.object({ orderId: z.string(), refused: z.enum(['nothing', 'stock', 'card', 'parcel']) })
type Order = z.output<typeof order>
type Refused = Order['refused']

const commands = defineTopic('commands', { groups: ['services'] })
const answers = defineTopic('answers', { groups: ['checkout'] })
const about = (topic: typeof commands | typeof answers, type: string) =>
  defineMessage(topic, type, { schema: order, key: ({ orderId }) => orderId })

const OrderPlaced = about(answers, 'order.placed')
const [ReserveStock, ReleaseStock] = [about(commands, 'stock.reserve'), about(commands, 'stock.release')]
const [ChargeCard, RefundCard] = [about(commands, 'card.charge'), about(commands, 'card.refund')]
const ShipParcel = about(commands, 'parcel.ship')
const [StockReserved, StockRefused] = [about(answers, 'stock.reserved'), about(answers, 'stock.refused')]
const [CardCharged, CardRefused] = [about(answers, 'card.charged'), about(answers, 'card.refused')]
const [ParcelShipped, ParcelRefused] = [about(answers, 'parcel.shipped'), about(answers, 'parcel.refused')]
const [StockReleased, CardRefunded] = [about(answers, 'stock.released'), about(answers, 'card.refunded')]

const checkout = defineSaga('checkout', { data: order }, (saga) => [
  saga.startedBy(OrderPlaced, ({ data }) => data),
  saga.step('stock', {
    run: ({ data, send }) => send(ReserveStock, data),
    done: saga.reply(StockReserved),
    refused: saga.reply(StockRefused),
    compensate: ({ data, send }) => send(ReleaseStock, data),
    compensated: saga.reply(StockReleased),
  }),
  saga.step('card', {
    run: ({ data, send }) => send(ChargeCard, data),
    done: saga.reply(CardCharged),
    refused: saga.reply(CardRefused),
    compensate: ({ data, send }) => send(RefundCard, data),
    compensated: saga.reply(CardRefunded),
  }),
  saga.step('parcel', {
    run: ({ data, send }) => send(ShipParcel, data),
    done: saga.reply(ParcelShipped),
    refused: saga.reply(ParcelRefused),
  }),
])

interface Outcome {
  readonly refused: Refused
  readonly status: 'completed' | 'compensated'
  /** Of the services, in their order and once each. */
  readonly effects: readonly string[]
}

const outcomes: readonly Outcome[] = [
  { refused: 'nothing', status: 'completed', effects: ['reserved', 'charged', 'shipped'] },
  { refused: 'stock', status: 'compensated', effects: [] },
  { refused: 'card', status: 'compensated', effects: ['reserved', 'released'] },
  { refused: 'parcel', status: 'compensated', effects: ['reserved', 'charged', 'refunded', 'released'] },
]

const journal = (database: Database) => database.dialect.table('journal')

/** What a process does: the saga, its services, and a relay. */
async function start(database: Database, name: string, process: MortalProcess) {
  const own = process.database(database)
  own.on('failure', () => {})
  const [inbox, outbox] = [own.inbox(), own.outbox()]
  const bus = await connect({ url: `memory:${name}`, adapter: process.adapter(memory()), console: false })
  const consumer = (group: string) => bus.consumer(group, { retry: { attempts: 100, backoff: fixed(5) } })
  const services = consumer('services')
  const serve = (
    command: MessageDefinition<Order, Order>,
    effect: string,
    done: MessageDefinition<Order, Order>,
    unless?: { readonly refused: Refused; readonly told: MessageDefinition<Order, Order> },
  ) => {
    const work = async (data: Order, transaction: Transaction) => {
      const isRefused = unless?.refused === data.refused
      if (!isRefused) await transaction.query(`INSERT INTO ${journal(own)} (effect) VALUES ($1)`, [effect])
      await outbox.send(transaction, isRefused ? unless.told : done, data)
    }
    services.on(command, ({ data }, context: HandlerContext) =>
      inbox.once(context, (transaction) => work(data, transaction)),
    )
  }
  serve(ReserveStock, 'reserved', StockReserved, { refused: 'stock', told: StockRefused })
  serve(ReleaseStock, 'released', StockReleased)
  serve(ChargeCard, 'charged', CardCharged, { refused: 'card', told: CardRefused })
  serve(RefundCard, 'refunded', CardRefunded)
  serve(ShipParcel, 'shipped', ParcelShipped, { refused: 'parcel', told: ParcelRefused })
  const sagas: Consumer = new Saga(checkout, { database: own, inbox, outbox }).handleOn(consumer('checkout'))
  const relay = outbox.relay(bus, { pollInterval: '50ms', lanes: 1 }).on('failure', () => {})
  const running = (async () => {
    await services.start()
    await sagas.start()
    await relay.start()
  })()
  // Dead before it had started.
  await running.catch((error: unknown) => {
    if (!process.isDead) throw error
  })
  return {
    async [Symbol.asyncDispose]() {
      const isOver = process.isDead ? () => {} : undefined
      await relay.stop({ timeout: '1s' }).catch(isOver)
      await bus.close({ timeout: '1s' }).catch(isOver)
      await own.close()
    },
  }
}

/** True if it died. */
async function runUntilItDies(database: Database, name: string, { refused }: Outcome, diesAt: number) {
  const { table } = database.dialect
  // Keeps the broker while no process is there.
  await using anchor = await connect({ url: `memory:${name}`, topics: [commands, answers], console: false })
  const isOver = async () => {
    const [waiting] = await database.query(`SELECT id FROM ${table('outbox')} LIMIT 1`)
    const [sagas] = await database.query<{ n: number }>(
      `SELECT count(*) AS n FROM ${table('sagas')} WHERE status IN ('completed', 'compensated')`,
    )
    if (waiting !== undefined || Number(sagas?.n) === 0) return false
    const groups = [anchor.group(commands, 'services'), anchor.group(answers, 'checkout')]
    const stats = await Promise.all(groups.map((group) => group.stats()))
    return stats.every((of) => of.waiting === 0 && of.inFlight === 0 && of.delayed === 0)
  }
  const over = async (process: MortalProcess) => {
    while (!process.isDead && !(await isOver())) await sleep(10)
  }
  await anchor.producer().send(OrderPlaced, { orderId: 'o-1', refused })
  const first = new MortalProcess(diesAt)
  {
    await using _running = await start(database, name, first)
    await over(first)
  }
  if (!first.isDead) return false
  // Its leases have run out.
  await database.query(`UPDATE ${table('slots')} SET owner = NULL`)
  await database.query(`DELETE FROM ${table('relays')}`)
  const second = new MortalProcess()
  await using _running = await start(database, name, second)
  await over(second)
  return true
}

describe('a saga whose process dies', () => {
  for (const outcome of outcomes) {
    const { refused, status, effects } = outcome
    it(`behind any step ends ${status} when ${refused} is refused, with each effect once`, {
      timeout: 600_000,
    }, async () => {
      // Hundreds of processes: on the database that takes least for each.
      await using database = sqlite({ path: ':memory:' })
      await database.migrate()
      const { table, types } = database.dialect
      await database.query(`CREATE TABLE ${journal(database)} (position ${types.position}, effect text)`)
      const tables = ['sagas', 'saga_events', 'marks', 'outbox', 'journal'].map(table)
      let deaths = 0
      for (let diesAt = 1; ; diesAt += 1) {
        for (const each of tables) await database.query(`DELETE FROM ${each}`)
        const hasDied = await runUntilItDies(database, `every-step-${table('x')}-${diesAt}`, outcome, diesAt)
        const found = await database.query<{ effect: string }>(
          `SELECT effect FROM ${journal(database)} ORDER BY position`,
        )
        const sagas = await database.query<{ status: string }>(`SELECT status FROM ${table('sagas')}`)
        const at = hasDied ? `having died behind step ${diesAt}` : 'without having died'
        assert.deepEqual(
          [found.map(({ effect }) => effect), sagas.map((saga) => saga.status)],
          [effects, [status]],
          at,
        )
        if (!hasDied) break
        deaths += 1
      }
      assert.ok(deaths > 20)
    })
  }
})
