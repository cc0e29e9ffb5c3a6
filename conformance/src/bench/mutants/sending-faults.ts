import { setTimeout as wait } from 'node:timers/promises'
import type { OutboundMessage, Outcome } from '@waybill/core/driver'
import { systemClock } from '@waybill/core/driver'
import { intercept } from './intercept.ts'
import { busMutant, driverMutant, type Mutant } from './mutant.ts'

export const sendingFaults: readonly Mutant[] = [
  busMutant({
    name: 'closes on its senders',
    fault: 'close() refuses the sends that wait',
    caughtBy: ['99a'],
    bus: (bus) => intercept(bus, { close: () => bus.close({ timeout: 0 }) }),
  }),
  driverMutant({
    name: 'holds a batch for one',
    fault: 'A batch ends only when its last message was taken',
    caughtBy: ['99b', '99c'],
    layers: () => ({
      async publish(batch, forward) {
        const outcomes = new Map<OutboundMessage, Outcome>()
        for (let open = [...batch]; open.length > 0; ) {
          for (const [index, outcome] of (await forward(open)).entries()) {
            const message = open[index]
            if (message !== undefined) outcomes.set(message, outcome)
          }
          open = open.filter((message) => {
            const outcome = outcomes.get(message)
            return outcome?.ok === false && outcome.error.retryable
          })
          if (open.length > 0) await wait(50, undefined, { ref: false })
        }
        return batch.flatMap((message) => outcomes.get(message) ?? [])
      },
    }),
  }),
  driverMutant({
    name: 'knows the first definition only',
    fault: 'The groups of a second definition of a topic are never made',
    caughtBy: ['99d'],
    layers: () => {
      const first = new Map<string, ReadonlySet<string>>()
      return {
        apply: ({ topics }, mode, forward) =>
          forward(
            {
              topics: topics.map(({ topic, groups }) => {
                const known = first.get(topic.name) ?? new Set(groups.map(({ name }) => name))
                first.set(topic.name, known)
                return { topic, groups: groups.filter(({ name }) => known.has(name)) }
              }),
            },
            mode,
          ),
      }
    },
  }),
  busMutant({
    name: 'sends what JSON makes of it',
    fault: 'Data that JSON leaves out or changes is sent all the same',
    caughtBy: ['99e'],
    bus: (bus) =>
      intercept(bus, {
        producer: ([options]) => {
          const producer = Reflect.apply(bus.producer, bus, [options])
          return intercept(producer, {
            send: ([definition, data, ...rest], forward) =>
              forward(
                definition,
                JSON.parse(
                  JSON.stringify(data, (_key, value) => (typeof value === 'bigint' ? String(value) : value)),
                ),
                ...rest,
              ),
          })
        },
      }),
  }),
  busMutant({
    name: 'measures time by the wall',
    fault: 'Durations are measured by a clock that can be set',
    caughtBy: ['104'],
    connect: ({ clock = systemClock, ...options }) => ({
      ...options,
      clock: { ...clock, monotonic: () => clock.now() },
    }),
  }),
]
