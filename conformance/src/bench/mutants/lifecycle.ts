import {
  ConfigurationError,
  type ConnectOptions,
  type MemoryNative,
  type ReceivedMessage,
} from '@waybill/core'
import { z } from 'zod'
import { siblingModule } from '../../children/sibling-module.ts'
import { intercept } from './intercept.ts'
import { busMutant, driverMutant, type Mutant } from './mutant.ts'

const optionsSchema = z.record(z.string(), z.unknown())
const receivedSchema = z.custom<AsyncIterable<ReceivedMessage>>((value) => typeof value === 'object')
const nativeSchema = z.custom<MemoryNative>(
  (value) => typeof value === 'object' && value !== null && 'broker' in value,
)

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
          forward(definition, { ...optionsSchema.parse(options), signal: undefined }),
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
      connection: { ...harness.connection, adapterModule: siblingModule(import.meta.url, 'leaking-adapter') },
    }),
  },
]
