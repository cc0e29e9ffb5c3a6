// Consumes, behaves as its parent asks, and reports what it got. SIGTERM has it drain and exit.
import {
  type ConsumerOptions,
  fixed,
  type HandlerContext,
  type IdempotencyStore,
  runUntilSignal,
} from '@waybill/core'
import { EffectDatabase } from '../fixtures/effect-database.ts'
import { type Numbered, numbered } from '../fixtures/numbered.ts'
import { connectChild, report, settingsOf, toTopic } from './connect-child.ts'
import { consumerSettingsSchema } from './protocol.ts'

const settings = settingsOf(consumerSettingsSchema)
const { behaviour, group, types, options } = settings
const topic = toTopic(settings.topic)
const database = 'database' in behaviour ? new EffectDatabase(behaviour.database) : undefined
const store: IdempotencyStore | undefined = database?.store
const forever = new Promise<never>(() => undefined)

async function handle(data: Numbered, { message, attempt, idempotencyKey }: HandlerContext): Promise<void> {
  const { id } = message
  report({ type: 'delivered', id, n: data.n, attempt, at: performance.timeOrigin + performance.now() })
  switch (behaviour.kind) {
    case 'record':
      break
    case 'hang':
      await forever
      break
    case 'hang-below':
      if (data.n < behaviour.n) await forever
      break
    case 'throw':
      throw new Error('the child fails')
    case 'block':
      for (const until = performance.now() + behaviour.durationMs; performance.now() < until; );
      break
    case 'wait':
      await new Promise((resolve) => {
        setTimeout(resolve, behaviour.durationMs)
      })
      break
    case 'effect-then-hang':
      database?.effectWithMark(idempotencyKey)
      report({ type: 'effect', id })
      await forever
      break
    case 'effect':
      await new Promise((resolve) => {
        setTimeout(resolve, behaviour.durationMs)
      })
      database?.effect(id)
      report({ type: 'effect', id })
      break
  }
}

const bus = await connectChild(settings.connection)
bus.on('handled', ({ message }) => {
  if (message !== undefined) report({ type: 'handled', id: message.id })
})
bus.on('retried', ({ message }) => {
  if (message !== undefined) report({ type: 'retried', id: message.id })
})
bus.on('deferred', ({ message }) => {
  if (message !== undefined) report({ type: 'deferred', id: message.id })
})
bus.on('lost', ({ message }) => {
  if (message !== undefined) report({ type: 'lost', id: message.id })
})
const consumerOptions: ConsumerOptions = {
  ...(options.concurrency !== undefined && { concurrency: options.concurrency }),
  ...(options.lease !== undefined && { lease: options.lease }),
  ...(options.maxDeliveries !== undefined && { maxDeliveries: options.maxDeliveries }),
  ...(options.unhandledAfterMs !== undefined && { unhandledAfter: options.unhandledAfterMs }),
  ...(store !== undefined && { idempotency: store }),
  retry: { attempts: options.attempts ?? 5, backoff: fixed(options.backoffMs ?? 100) },
}
const consumer = bus.consumer(group, consumerOptions)
for (const type of types ?? [undefined]) {
  consumer.on(numbered(topic, type), (message, context) => handle(message.data, context))
}
await consumer.start()
void runUntilSignal(bus)
report({ type: 'ready' })
