import { AsyncResource } from 'node:async_hooks'
import {
  ConfigurationError,
  type ConnectOptions,
  type MemoryNative,
  type ReceivedMessage,
  type SendOptions,
} from '@waybill/core'
import { z } from 'zod'
import { withEvent } from './event-body.ts'
import { intercept } from './intercept.ts'
import { busMutant, driverMutant, type Mutant } from './mutant.ts'

const sendOptionsSchema = z.custom<SendOptions>((value) => typeof value === 'object').default({})
const receivedSchema = z.custom<AsyncIterable<ReceivedMessage>>((value) => typeof value === 'object')
const nativeSchema = z.custom<MemoryNative>(
  (value) => typeof value === 'object' && value !== null && 'broker' in value,
)

/** A bus whose producers send otherwise. */
function producerMutant(
  description: Omit<Mutant, 'mutate'>,
  send: (args: readonly unknown[], forward: (...args: readonly unknown[]) => unknown) => unknown,
  sendBatch = send,
): Mutant {
  return busMutant({
    ...description,
    bus: (bus) =>
      intercept(bus, {
        producer: (_, forward) => intercept(z.custom<object>().parse(forward(..._)), { send, sendBatch }),
      }),
  })
}

export const lifecycle: readonly Mutant[] = [
  driverMutant({
    name: 'makes what it should verify',
    fault: 'provision: verify makes what is missing',
    caughtBy: ['9a'],
    layers: () => ({
      apply: async (topology, _, forward) => ({ ...(await forward(topology, 'create')), missing: [] }),
    }),
  }),
  driverMutant({
    name: 'names the first only',
    fault: 'Of several missing things one is named',
    caughtBy: ['9a'],
    layers: () => ({
      async apply(topology, mode, forward) {
        const { created, missing } = await forward(topology, mode)
        return { created, missing: missing.slice(0, 1) }
      },
    }),
  }),
  driverMutant({
    name: 'deletes what is not declared',
    fault: 'Provisioning a topic deletes groups that it does not name',
    caughtBy: ['9b'],
    layers: () => {
      let native: MemoryNative | undefined
      return {
        async connect(forward) {
          const driver = await forward()
          native = nativeSchema.parse(driver.native())
          return driver
        },
        async apply(topology, mode, forward) {
          for (const { topic, groups } of topology.topics) {
            const existing = native?.broker.topics.get(topic.name)?.groups
            for (const name of existing?.keys() ?? []) {
              if (!groups.some((group) => group.name === name)) existing?.delete(name)
            }
          }
          return forward(topology, mode)
        },
      }
    },
  }),
  busMutant({
    name: 'closes later',
    fault: 'close() resolves and leaves everything open for a while',
    caughtBy: ['10'],
    bus: (bus) =>
      intercept(bus, {
        async close() {
          setTimeout(() => bus.close(), 300).unref()
        },
      }),
  }),
  producerMutant(
    { name: 'sends whatever the signal says', fault: 'A send ignores its signal', caughtBy: ['11a'] },
    ([definition, data, options], forward) => {
      const { signal: _, ...others } = sendOptionsSchema.parse(options)
      return forward(definition, data, others)
    },
  ),
  busMutant({
    name: 'connects whatever the signal says',
    fault: 'connect() ignores its signal',
    caughtBy: ['11b'],
    connect: ({ signal: _, ...options }) => options,
  }),
  busMutant({
    name: 'receives whatever the signal says',
    fault: 'A loop that waits for messages ignores its signal',
    caughtBy: ['11c'],
    bus: (bus) =>
      intercept(bus, {
        receive: ([definition, options], forward) =>
          forward(definition, { ...z.record(z.string(), z.unknown()).parse(options), signal: undefined }),
      }),
  }),
  busMutant({
    name: 'settles twice',
    fault: 'A message that was acked is sent again when it is released',
    caughtBy: ['27'],
    bus: (bus) =>
      intercept(bus, {
        async *receive([definition, options], forward) {
          for await (const delivery of receivedSchema.parse(forward(definition, options))) {
            yield intercept(delivery, {
              async release() {
                const producer = bus.producer()
                await Reflect.apply(producer.send, producer, [definition, delivery.message.data])
              },
            })
          }
        },
      }),
  }),
  busMutant({
    name: 'buffers without bound',
    fault: 'A producer takes whatever it is given',
    caughtBy: ['60'],
    bus: (bus) => intercept(bus, { producer: () => bus.producer() }),
  }),
  busMutant({
    name: 'hangs while closing',
    fault: 'close() waits for handlers and sends, however long they take',
    caughtBy: ['82a', '82b'],
    bus: (bus) => intercept(bus, { close: () => bus.close({ timeout: '1h' }) }),
  }),
  busMutant({
    name: 'is always well',
    fault: 'health() shows no consumer that is lost',
    caughtBy: ['86a'],
    bus: (bus) =>
      intercept(bus, {
        health: async () => ({ status: 'up', driver: { status: 'up', details: {} }, consumers: [] }),
      }),
  }),
  busMutant({
    name: 'waits for ever',
    fault: 'connect() ignores its timeout',
    caughtBy: ['87a'],
    connect: (options: Partial<ConnectOptions>) => ({ ...options, timeout: 'forever' }),
  }),
  busMutant({
    name: 'reports one problem at a time',
    fault: 'The error about wrong options lists the first problem only',
    caughtBy: ['90'],
    bus: (bus) =>
      intercept(bus, {
        consumer(args, forward) {
          try {
            return forward(...args)
          } catch (error) {
            if (!(error instanceof ConfigurationError)) throw error
            throw new ConfigurationError('options', error.issues.slice(0, 1))
          }
        },
      }),
  }),
  {
    name: 'leaks a timer',
    fault: 'Each connection leaves a timer behind',
    caughtBy: ['92a'],
    mutate: (harness) => ({
      ...harness,
      connection: { ...harness.connection, adapterModule: import.meta.resolve('./leaking-adapter.ts') },
    }),
  },
  producerMutant(
    {
      name: 'forgets what it handles',
      fault: 'What a handler sends has no correlation, cause or trace',
      caughtBy: ['72b'],
    },
    // Outside of what the handler runs in.
    (args, forward) => outside.runInAsyncScope(() => forward(...args)),
  ),
  producerMutant(
    {
      name: 'takes reserved names',
      fault: 'Metadata with a reserved name is dropped instead of refused',
      caughtBy: ['71'],
    },
    ([definition, data, options], forward) => {
      const { metadata, ...others } = sendOptionsSchema.parse(options)
      return forward(definition, data, metadata?.tenant === undefined ? others : { ...others, metadata })
    },
  ),
  producerMutant(
    { name: 'sends what is invalid', fault: 'Data is not held against its schema at send', caughtBy: ['89'] },
    ([definition, data, options], forward) =>
      forward({ ...z.record(z.string(), z.unknown()).parse(definition), schema: z.any() }, data, options),
  ),
  busMutant({
    name: 'handles what is invalid',
    fault: 'Data is not held against its schema on receipt',
    caughtBy: ['88b'],
    bus: (bus) =>
      intercept(bus, {
        consumer: (args) =>
          intercept(z.custom<object>().parse(Reflect.apply(bus.consumer, bus, [...args])), {
            on: ([definition, ...handlers], forward) =>
              forward(
                { ...z.record(z.string(), z.unknown()).parse(definition), schema: z.any() },
                ...handlers,
              ),
          }),
      }),
  }),
  busMutant({
    name: 'understates its limit',
    fault: 'Takes messages above the limit that it states',
    caughtBy: ['68'],
    bus: (bus) =>
      new Proxy(bus, {
        get(target, property) {
          const value: unknown = Reflect.get(target, property, target)
          if (property === 'capabilities') {
            return { ...target.capabilities, maxMessageBytes: target.capabilities.maxMessageBytes - 1024 }
          }
          return typeof value === 'function' ? value.bind(target) : value
        },
      }),
  }),
  driverMutant({
    name: 'is off by one',
    fault: 'Refuses a message of exactly the limit',
    caughtBy: ['67'],
    layers: () => ({
      capabilities: (own) => own,
      publish: (batch, forward) =>
        forward(
          batch.map((message) =>
            message.body.byteLength > 120 * 1024 ? { ...message, body: message.body.slice(0, -1) } : message,
          ),
        ),
    }),
  }),
  driverMutant({
    name: 'takes bytes for text',
    fault: 'Binary data is decoded as UTF-8 on its way',
    caughtBy: ['69'],
    layers: () => ({
      publish: (batch, forward) =>
        forward(
          batch.map((message) =>
            withEvent(message, ({ data_base64: base64, ...event }) => {
              if (typeof base64 !== 'string') return event
              const text = Buffer.from(base64, 'base64').toString('utf8')
              return { ...event, data_base64: Buffer.from(text).toString('base64') }
            }),
          ),
        ),
    }),
  }),
  driverMutant({
    name: 'normalises text',
    fault: 'Composed and decomposed letters become the same',
    caughtBy: ['70'],
    layers: () => ({
      publish: (batch, forward) =>
        forward(
          batch.map((message) => ({
            ...message,
            body: Buffer.from(Buffer.from(message.body).toString().normalize('NFC')),
          })),
        ),
    }),
  }),
  driverMutant({
    name: 'speaks ASCII',
    fault: 'Header values lose what is not ASCII',
    caughtBy: ['70'],
    layers: () => ({
      publish: (batch, forward) =>
        forward(
          batch.map((message) => ({
            ...message,
            headers: Object.fromEntries(
              Object.entries(message.headers).map(([name, value]) => [
                name,
                value.replace(/[^\x20-\x7e]/g, '?'),
              ]),
            ),
          })),
        ),
    }),
  }),
  driverMutant({
    name: 'is no event',
    fault: 'The body lacks an attribute that CloudEvents requires',
    caughtBy: ['73a', '73b'],
    layers: () => ({
      publish: (batch, forward) =>
        forward(
          batch.map((message) =>
            withEvent(message, ({ specversion: _, ...event }) => ({ ...event, version: '1.0' })),
          ),
        ),
    }),
  }),
  driverMutant({
    name: 'mirrors nothing',
    fault: 'The attributes are not in the headers',
    caughtBy: ['73a', '73b'],
    layers: () => ({
      publish: (batch, forward) => forward(batch.map((message) => ({ ...message, attributes: {} }))),
    }),
  }),
  driverMutant({
    name: 'lets nothing expire',
    fault: 'Forgets when a message expires',
    caughtBy: ['65'],
    layers: () => ({
      publish: (batch, forward) =>
        forward(batch.map((message) => withEvent(message, ({ expirytime: _, ...event }) => event))),
    }),
  }),
]

const outside = new AsyncResource('mutant')
