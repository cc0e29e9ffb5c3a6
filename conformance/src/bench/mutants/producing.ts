import { AsyncResource } from 'node:async_hooks'
import type { SendOptions } from '@waybill/core'
import { z } from 'zod'
import { type Interceptor, intercept } from './intercept.ts'
import { busMutant, type Mutant } from './mutant.ts'
import { withField } from './with-field.ts'

const sendOptionsSchema = z.custom<SendOptions>((value) => typeof value === 'object').default({})
const definitionSchema = z.record(z.string(), z.unknown())

/** A bus whose producers send otherwise. */
export function producerMutant(description: Omit<Mutant, 'mutate'>, send: Interceptor): Mutant {
  return busMutant({
    ...description,
    bus: (bus) =>
      intercept(bus, {
        producer: ([options]) =>
          intercept(Reflect.apply(bus.producer, bus, [options]), { send, sendBatch: send }),
      }),
  })
}

/** What was current when the suite began: no message is being handled there. */
const outside = new AsyncResource('mutant')

export const producing: readonly Mutant[] = [
  producerMutant(
    { name: 'sends whatever the signal says', fault: 'A send ignores its signal', caughtBy: ['11a'] },
    ([definition, data, options], forward) => {
      const { signal: _, ...others } = sendOptionsSchema.parse(options)
      return forward(definition, data, others)
    },
  ),
  producerMutant(
    {
      name: 'forgets what it handles',
      fault: 'What a handler sends has no correlation, cause or trace',
      caughtBy: ['72b'],
    },
    (args, forward) => outside.runInAsyncScope(() => forward(...args)),
  ),
  producerMutant(
    {
      name: 'takes reserved names',
      fault: 'Metadata is dropped instead of refused when its name is reserved',
      caughtBy: ['71'],
    },
    ([definition, data, options], forward) => {
      const { metadata: _, ...others } = sendOptionsSchema.parse(options)
      return forward(definition, data, others)
    },
  ),
  producerMutant(
    { name: 'sends what is invalid', fault: 'Data is not held against its schema at send', caughtBy: ['89'] },
    ([definition, data, options], forward) =>
      forward({ ...definitionSchema.parse(definition), schema: z.any() }, data, options),
  ),
  busMutant({
    name: 'buffers without bound',
    fault: 'A producer takes whatever it is given',
    caughtBy: ['60'],
    bus: (bus) => intercept(bus, { producer: () => bus.producer() }),
  }),
  busMutant({
    name: 'understates its limit',
    fault: 'Takes messages above the limit that it states',
    caughtBy: ['68'],
    bus: (bus) =>
      withField(bus, 'capabilities', {
        ...bus.capabilities,
        maxMessageBytes: bus.capabilities.maxMessageBytes - 1024,
      }),
  }),
]
