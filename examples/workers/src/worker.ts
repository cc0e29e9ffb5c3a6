import { connect, fixed, MessagingError } from '@waybill/core'
import { dyingDatabase } from './dying-database.ts'
import { type HandedBack, type HandedOver, isHandedOver } from './hand-over.ts'
import { openDatabase } from './open-database.ts'
import type { Effects, Service } from './service.ts'

/** Every kill costs an attempt of what was in hand, which comes back when its lease has ended. */
const patience = {
  retry: { attempts: 1000, backoff: fixed('20ms') },
  maxDeliveries: 1000,
  lease: '5s',
} as const

// Kafka waits for the session of a member that was killed before it gives its partitions to the next one. Six seconds is the
// shortest that it allows (Kafka documentation, "group.min.session.timeout.ms"). Other adapters do not look at it.
const native = { kafka: { sessionTimeout: 6000 } }

/**
 * The program of a child process: handles messages until it is killed, or its parent has ended. `URL`, `DATABASE`, `RUN` and
 * `DIE_AT` are in its environment.
 */
export async function runWorker(services: (effects: Effects) => readonly Service[]): Promise<void> {
  const { URL: url = 'memory:', DATABASE: databaseUrl = '', RUN: run = '', DIE_AT: dieAt = '0' } = process.env
  const database = openDatabase(databaseUrl, run)
  const outbox = database.outbox()
  const own = services({ database, inbox: dyingDatabase(database, Number(dieAt)), outbox })
  process.on('disconnect', () => process.exit())
  if (url === 'memory:') {
    process.on('message', (delivery) => {
      if (isHandedOver(delivery)) void handle(own, delivery).then((back) => process.send?.(back))
    })
    process.send?.('ready')
    return
  }
  const bus = await connect({ url, native, timeout: '1m', console: false })
  await startAll(bus, own)
  await outbox.relay(bus, { pollInterval: '50ms' }).start()
  process.send?.('ready')
}

/** Starts a consumer for each service. */
export async function startAll(
  bus: Awaited<ReturnType<typeof connect>>,
  services: readonly Service[],
): Promise<void> {
  await Promise.all(
    services.map(({ group, handlers }) => {
      const consumer = bus.consumer(group, { ...patience, concurrency: 8 })
      for (const { definition, handle } of handlers) consumer.on(definition, handle)
      return consumer.start()
    }),
  )
}

async function handle(services: readonly Service[], delivery: HandedOver): Promise<HandedBack> {
  const { call, group, message, context } = delivery
  const handler = services
    .find((service) => service.group === group)
    ?.handlers.find(
      ({ definition }) => definition.type === message.type && definition.topic.name === context.topic,
    )
  try {
    if (handler === undefined) throw new Error(`${group} has no handler for ${message.type}`)
    await handler.handle(message, { ...context, message, signal: new AbortController().signal })
    return { call, error: undefined }
  } catch (thrown) {
    const isPermanent = MessagingError.is(thrown) && thrown.code === 'permanent'
    return {
      call,
      error: { message: thrown instanceof Error ? thrown.message : String(thrown), isPermanent },
    }
  }
}
