import { type ConsumerOptions, type HandlerOptions, PermanentError } from '@waybill/core'
import { headerNames } from '@waybill/core/driver'
import { z } from 'zod'
import { intercept } from './intercept.ts'
import { busMutant, driverMutant, type Mutant } from './mutant.ts'

type Description = Omit<Mutant, 'mutate'>

const consumerOptionsSchema = z.custom<ConsumerOptions>((value) => typeof value === 'object').default({})
const handlerOptionsSchema = z.custom<HandlerOptions>((value) => typeof value === 'object').default({})

/** A bus that hands its consumers' and handlers' policies on otherwise. */
function policyMutant(
  description: Description,
  change: {
    consumer?(options: ConsumerOptions): ConsumerOptions
    handler?(options: HandlerOptions): HandlerOptions
  },
): Mutant {
  const { consumer = (own) => own, handler = (own) => own } = change
  return busMutant({
    ...description,
    bus: (bus) =>
      intercept(bus, {
        consumer: ([group, options]) =>
          intercept(bus.consumer(String(group), consumer(consumerOptionsSchema.parse(options))), {
            on: ([first, handle, options], forward) =>
              forward(first, handle, handler(handlerOptionsSchema.parse(options))),
          }),
      }),
  })
}

const without =
  <Options extends object>(name: keyof Options) =>
  (options: Options) => {
    const { [name]: _, ...others } = options
    return others as Options
  }

export const policies: readonly Mutant[] = [
  policyMutant(
    { name: 'one policy for all', fault: 'Ignores the retry policy of a handler', caughtBy: ['233a'] },
    { handler: without<HandlerOptions>('retry') },
  ),
  driverMutant({
    name: 'forgets what was asked',
    fault: 'Loses the attempts that the sender asked for',
    caughtBy: ['233a', '233b'],
    layers: () => ({
      publish: (batch, forward) =>
        forward(
          batch.map((message) => {
            const { [headerNames.attempts]: _, ...headers } = message.headers
            return { ...message, headers }
          }),
        ),
    }),
  }),
  policyMutant(
    { name: 'crowds one handler', fault: 'Ignores the concurrency of a handler', caughtBy: ['234'] },
    { handler: without<HandlerOptions>('concurrency') },
  ),
  policyMutant(
    { name: 'mixes keys', fault: 'Ignores `perKey`', caughtBy: ['235'] },
    {
      consumer: ({ concurrency, ...options }) => ({
        ...options,
        ...(concurrency !== undefined && {
          concurrency: typeof concurrency === 'object' ? (concurrency.total ?? 10) : concurrency,
        }),
      }),
    },
  ),
  policyMutant(
    { name: 'knows no limit', fault: 'Ignores rate limits', caughtBy: ['236', '237'] },
    { consumer: without<ConsumerOptions>('rateLimit') },
  ),
  policyMutant(
    { name: 'goes on regardless', fault: 'Ignores circuit breakers', caughtBy: ['238'] },
    { consumer: without<ConsumerOptions>('circuitBreaker') },
  ),
  busMutant({
    name: 'gives up what waits',
    fault: 'Fails messages over a rate limit instead of keeping them',
    caughtBy: ['236', '239'],
    bus: (bus) =>
      intercept(bus, {
        consumer([group, given]) {
          const { rateLimit, ...options } = consumerOptionsSchema.parse(given)
          const consumer = bus.consumer(String(group), options)
          if (rateLimit === undefined) return consumer
          let left = rateLimit.max
          return consumer.use(async (_, next) => {
            if (left === 0) throw new PermanentError('over the limit')
            left -= 1
            await next()
          })
        },
      }),
  }),
]
