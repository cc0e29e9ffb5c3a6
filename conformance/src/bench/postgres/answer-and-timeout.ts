import assert from 'node:assert/strict'
import { defineMessage, defineTopic, type HandlerContext, type Message } from '@waybill/core'
import { type Database, defineSaga, Saga } from '@waybill/database'
import { postgres } from '@waybill/postgres'
import { z } from 'zod'
import type { Case } from '../../case/case.ts'
import { openDatabase, type Servers } from './servers.ts'

const topic = defineTopic('payments')
const schema = z.object({ orderId: z.string() })
const message = <Type extends string>(type: Type) =>
  defineMessage(topic, type, { schema, key: ({ orderId }) => orderId })
const OrderPlaced = message('order.placed')
const ChargeCard = message('card.charge')
const CardCharged = message('card.charged')
const RefundCard = message('card.refund')
const Ship = message('order.ship')

const payment = defineSaga('payment', { data: schema }, (saga) => [
  saga.startedBy(OrderPlaced, ({ data }) => data),
  saga.step('charge', {
    run: ({ id, send }) => send(ChargeCard, { orderId: id }),
    done: saga.reply(CardCharged),
    compensate: ({ id, send }) => send(RefundCard, { orderId: id }),
    timeout: '1h',
  }),
  saga.step('ship', { run: ({ id, send }) => send(Ship, { orderId: id }) }),
])

/** A process's own saga over its own connections, and deliveries to it without a broker. */
function processOver(database: Database) {
  const saga = new Saga(payment, { database, inbox: database.inbox(), outbox: database.outbox() })
  const handlers = saga.handlers()
  const take = async (type: string, id: string, data: unknown) => {
    const delivered: Message = {
      ...{ id, type, version: 1, timestamp: new Date(), data, metadata: { source: 'test' } },
    }
    const context: HandlerContext = {
      ...{ message: delivered, signal: new AbortController().signal, attempt: 1, deliveries: 1 },
      ...{ topic: topic.name, group: 'payments', mode: 'single' },
      idempotencyKey: { group: 'payments', topic: topic.name, type, source: 'test', id },
    }
    await handlers.find(({ definition }) => definition.type === type)?.handle(delivered, context)
  }
  return { saga, take }
}

const sagas = 100

export function answerAndTimeout(servers: Servers): Case {
  return {
    number: 216,
    title: 'An answer to a saga and the timeout that it meets are taken one after the other, in either order',
    async run(context) {
      const { database, schema: place } = await openDatabase(context, servers)
      const other = postgres({ url: servers.postgres.url, schema: place })
      context.defer(() => other.close())
      const [here, there] = [processOver(database), processOver(other)]
      const outbox = database.dialect.table('outbox')
      const sent = async (id: string, type: string) =>
        await database.query<{ data: string }>(
          `SELECT data FROM ${outbox} WHERE type = $2 AND data::json ->> '${type === payment.timeout.type ? 'id' : 'orderId'}' = $1`,
          [id, type],
        )
      const ends = { completed: 0, compensated: 0 }
      for (let n = 0; n < sagas; n += 1) {
        const id = `o-${n}`
        await here.take(OrderPlaced.type, `placed-${n}`, { orderId: id })
        const [timeout] = await sent(id, payment.timeout.type)
        const due: unknown = JSON.parse(timeout?.data ?? 'null')
        const answers = () => here.take(CardCharged.type, `charged-${n}`, { orderId: id })
        const timeouts = () => there.take(payment.timeout.type, `timeout-${n}`, due)
        // Both twice, as a broker may deliver them, each first every other time.
        const [first, second] = n % 2 === 0 ? [answers, timeouts] : [timeouts, answers]
        await Promise.all([first(), second(), first(), second()])
        const state = await here.saga.state(id)
        const refunds = (await sent(id, RefundCard.type)).length
        const shipped = (await sent(id, Ship.type)).length
        const status = state?.status
        assert(status === 'completed' || status === 'compensated', `${id} is ${status}`)
        ends[status] += 1
        // A refund that may have come before the charge is asked for again, once the charge is known.
        assert.deepEqual([refunds, shipped], status === 'completed' ? [0, 1] : [2, 0])
      }
      console.log(`  ${sagas} meetings: ${ends.completed} completed, ${ends.compensated} compensated`)
    },
  }
}
