import { defineMessage, defineTopic, type HandlerContext, type Message } from '@waybill/core'
import { type Database, defineSaga, Saga } from '@waybill/database'
import { z } from 'zod'

const topic = defineTopic('counters')
const schema = z.object({ counter: z.string() })
const key = ({ counter }: z.output<typeof schema>) => counter
const CounterStarted = defineMessage(topic, 'counter.started', { schema, key })
const CounterRaised = defineMessage(topic, 'counter.raised', { schema, key })

const definition = defineSaga('counting', { data: z.object({ count: z.int() }) }, (saga) => [
  saga.startedBy(CounterStarted, () => ({ count: 0 })),
  saga.on(CounterRaised, ({ data, update }) => update({ count: data.count + 1 })),
])

/** A saga that counts, and deliveries to its counter `c` without a broker. */
export function countingOver(database: Database) {
  const saga = new Saga(definition, { database, inbox: database.inbox(), outbox: database.outbox() })
  const handlers = saga.handlers()
  const take = async ({ type }: { readonly type: string }, id: string) => {
    const message: Message = {
      ...{ id, type, version: 1, timestamp: new Date(), data: { counter: 'c' } },
      metadata: { source: 'test' },
    }
    const delivery: HandlerContext = {
      ...{ message, signal: new AbortController().signal, attempt: 1, deliveries: 1 },
      ...{ topic: topic.name, group: 'counters', mode: 'single' },
      idempotencyKey: { group: 'counters', topic: topic.name, type, source: 'test', id },
    }
    await handlers.find((each) => each.definition.type === type)?.handle(message, delivery)
  }
  return {
    start: (id: string) => take(CounterStarted, id),
    raise: (id: string) => take(CounterRaised, id),
    state: () => saga.state('c'),
  }
}
