import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Bus,
  type Consumer,
  type ConsumerOptions,
  type HandlerContext,
  type HandlerMiddleware,
  type IdempotencyStore,
  MessagingError,
  PermanentError,
} from '@waybill/core'
import { z } from 'zod'
import { intercept } from './intercept.ts'
import { busMutant, type Mutant } from './mutant.ts'
import { withField } from './with-field.ts'

type Description = Omit<Mutant, 'mutate'>

/** A bus whose consumers are other than they should be. */
function consumerMutant(
  description: Description,
  change: {
    options?(options: ConsumerOptions): ConsumerOptions
    consumer?(consumer: Consumer, options: ConsumerOptions, bus: Bus): Consumer
  },
): Mutant {
  const { options: changeOptions = (own) => own, consumer: changeConsumer = (own) => own } = change
  return busMutant({
    ...description,
    bus: (bus) =>
      intercept(bus, {
        consumer([group, given]) {
          const options = optionsSchema.parse(given ?? {})
          return changeConsumer(bus.consumer(String(group), changeOptions(options)), options, bus)
        },
      }),
  })
}

const optionsSchema = z.custom<ConsumerOptions>((value) => typeof value === 'object')
const storeSchema = z.custom<IdempotencyStore>(
  (value) => typeof value === 'object' && value !== null && 'begin' in value,
)

/** A bus whose handlers are called otherwise. */
function handlingMutant(description: Description, middleware: HandlerMiddleware): Mutant {
  return consumerMutant(description, { consumer: (consumer) => consumer.use(middleware) })
}

/** A bus that hands its consumers' idempotency stores on otherwise. */
function storeMutant(
  description: Description,
  change: (store: IdempotencyStore) => Partial<IdempotencyStore>,
): Mutant {
  return consumerMutant(description, {
    options(options) {
      if (options.idempotency === undefined) return options
      const given = 'store' in options.idempotency ? options.idempotency : { store: options.idempotency }
      const own = storeSchema.parse(given.store)
      const store: IdempotencyStore = {
        begin: (mark, leaseMs) => own.begin(mark, leaseMs),
        extend: (mark, token, leaseMs) => own.extend(mark, token, leaseMs),
        complete: (mark, token, windowMs) => own.complete(mark, token, windowMs),
        abandon: (mark, token) => own.abandon(mark, token),
        ...change(own),
      }
      return { ...options, idempotency: { ...given, store } }
    },
  })
}

const errorCode = (error: unknown) => (MessagingError.is(error) ? error.code : undefined)

function totalOf({ concurrency }: ConsumerOptions): number {
  return (typeof concurrency === 'object' ? concurrency.total : concurrency) ?? 10
}

export const consuming: readonly Mutant[] = [
  handlingMutant(
    {
      name: 'forgets what was handled in vain',
      fault: 'Handles again what was handled here and lost before its ack',
      caughtBy: ['98g'],
    },
    // Whoever looks at the signal may have stopped halfway when it fired.
    ({ signal }, next) => (signal.aborted ? Promise.resolve() : next()),
  ),
  consumerMutant(
    {
      name: 'starts too soon',
      fault: 'start() resolves before the group is subscribed',
      caughtBy: ['3'],
    },
    {
      consumer: (consumer) =>
        intercept(consumer, {
          start(_, forward) {
            setTimeout(() => forward(), 200)
            return Promise.resolve()
          },
        }),
    },
  ),
  consumerMutant(
    {
      name: 'stops its siblings',
      fault: 'Stopping one consumer stops all of its bus',
      caughtBy: ['17'],
    },
    {
      consumer: (() => {
        const all = new WeakMap<Bus, Consumer[]>()
        return (consumer: Consumer, _: ConsumerOptions, bus: Bus) => {
          const siblings = all.get(bus) ?? []
          all.set(bus, siblings)
          siblings.push(consumer)
          return intercept(consumer, {
            async stop(args, forward) {
              await Promise.all(siblings.map((each) => each.stop()))
              return forward(...args)
            },
          })
        }
      })(),
    },
  ),
  consumerMutant(
    { name: 'runs one more', fault: 'Runs one handler more than `concurrency` says', caughtBy: ['55'] },
    { options: (options) => ({ ...options, concurrency: totalOf(options) + 1 }) },
  ),
  consumerMutant(
    { name: 'runs one at a time', fault: 'Ignores `concurrency`', caughtBy: ['53', '55'] },
    { options: (options) => ({ ...options, concurrency: 1 }) },
  ),
  consumerMutant(
    { name: 'does not pause', fault: 'Goes on while paused', caughtBy: ['58a'] },
    { consumer: (consumer) => intercept(consumer, { pause: () => undefined }) },
  ),
  consumerMutant(
    {
      name: 'shares slots between topics',
      fault: 'The topics of a consumer share its concurrency',
      caughtBy: ['59'],
    },
    {
      consumer(consumer, options) {
        const concurrency = totalOf(options)
        let running = 0
        return consumer.use(async (_, next) => {
          while (running >= concurrency) await sleep(10)
          running += 1
          try {
            await next()
          } finally {
            running -= 1
          }
        })
      },
    },
  ),
  consumerMutant(
    {
      name: 'tries once more',
      fault: 'Calls a failing handler once more than the policy says',
      caughtBy: ['34'],
    },
    {
      options: ({ retry = {}, ...options }) => ({
        ...options,
        retry: { ...retry, attempts: (retry.attempts ?? 5) + 1 },
      }),
    },
  ),
  consumerMutant(
    { name: 'ignores timeouts', fault: 'Ignores the timeout of a consumer', caughtBy: ['98a'] },
    { options: ({ timeout: _, ...options }) => options },
  ),
  consumerMutant(
    { name: 'knows one timeout', fault: 'Ignores the timeout of a single handler', caughtBy: ['98b'] },
    {
      consumer: (consumer) =>
        intercept(consumer, { on: ([definition, handler], forward) => forward(definition, handler) }),
    },
  ),
  consumerMutant(
    {
      name: 'never looks stuck',
      fault: 'Says that all is well while every handler hangs',
      caughtBy: ['98c'],
    },
    { options: (options) => ({ ...options, stuckAfter: '1h' }) },
  ),
  consumerMutant(
    { name: 'leases for ever', fault: 'Ignores maxLease', caughtBy: ['98d', '96d'] },
    { options: ({ maxLease: _, ...options }) => options },
  ),
  consumerMutant(
    { name: 'does not drain', fault: 'stop() abandons running handlers at once', caughtBy: ['80', '94e'] },
    { consumer: (consumer) => intercept(consumer, { stop: (_, forward) => forward({ timeout: 0 }) }) },
  ),
  handlingMutant(
    { name: 'retries the hopeless', fault: 'Treats a PermanentError as any other', caughtBy: ['37', '44'] },
    async (_, next) => {
      await next().catch((error: unknown) => {
        throw errorCode(error) === 'permanent' ? new Error('to be retried', { cause: error }) : error
      })
    },
  ),
  handlingMutant(
    {
      name: 'ignores RetryAfter',
      fault: 'Waits as the policy says, whatever the handler asks for',
      caughtBy: ['42'],
    },
    async (_, next) => {
      await next().catch((error: unknown) => {
        throw errorCode(error) === 'retry-after' ? new Error('to be retried', { cause: error }) : error
      })
    },
  ),
  handlingMutant(
    { name: 'swallows what is no Error', fault: 'A thrown text counts as success', caughtBy: ['41'] },
    async (_, next) => {
      await next().catch((error: unknown) => {
        if (error instanceof Error) throw error
      })
    },
  ),
  consumerMutant(
    {
      name: 'holds up every key',
      fault: 'A failed message of an ordered topic waits in its slot, and there is only one',
      caughtBy: ['39'],
    },
    {
      options: (options) => ({ ...options, concurrency: 1 }),
      consumer: (consumer, { retry }) =>
        consumer.use(async ({ attempt }, next) => {
          await next().catch(async (error: unknown) => {
            await sleep(retry?.backoff?.(attempt) ?? 0)
            throw error
          })
        }),
    },
  ),
  busMutant({
    name: 'sends the failed to the end',
    fault: 'A failed message of an ordered topic goes to the end of its key',
    caughtBy: ['39', '52a'],
    bus: (bus) =>
      intercept(bus, {
        consumer([group, given]) {
          const consumer = bus.consumer(String(group), optionsSchema.parse(given ?? {}))
          return intercept(consumer, {
            on([definition, handler, ...rest], forward) {
              if (rest.length > 0) return forward(definition, handler, ...rest)
              const failed = new Map<string, number>()
              const again = async (...args: readonly unknown[]): Promise<void> => {
                const message = messageSchema.parse(args[0])
                const attempt = (failed.get(message.id) ?? 0) + 1
                try {
                  await Reflect.apply(handlerSchema.parse(handler), undefined, [
                    args[0],
                    withField(contextSchema.parse(args[1]), 'attempt', attempt),
                  ])
                } catch {
                  failed.set(message.id, attempt)
                  const producer = bus.producer()
                  const { id, key, data } = message
                  void Reflect.apply(producer.send, producer, [
                    definition,
                    data,
                    { id, ...(key !== undefined && { key }) },
                  ])
                }
              }
              return forward(definition, again)
            },
          })
        },
      }),
  }),
  consumerMutant(
    { name: 'forgets effects', fault: 'Ignores the idempotency store', caughtBy: ['74a', '77a', '78'] },
    { options: ({ idempotency: _, ...options }) => options },
  ),
  storeMutant(
    { name: 'marks failures', fault: 'A handler that fails leaves a mark', caughtBy: ['76'] },
    (store) => ({ abandon: (mark, token) => store.complete(mark, token, 60_000) }),
  ),
  storeMutant({ name: 'never forgets', fault: 'A mark outlives its window', caughtBy: ['78'] }, (store) => ({
    complete: (mark, token) => store.complete(mark, token, 3_600_000),
  })),
  storeMutant(
    { name: 'shares marks', fault: 'The groups have one mark for a message', caughtBy: ['78'] },
    (store) => {
      const shared = { group: 'all' }
      return {
        begin: (mark, leaseMs) => store.begin({ ...mark, ...shared }, leaseMs),
        extend: (mark, token, leaseMs) => store.extend({ ...mark, ...shared }, token, leaseMs),
        complete: (mark, token, windowMs) => store.complete({ ...mark, ...shared }, token, windowMs),
        abandon: (mark, token) => store.abandon({ ...mark, ...shared }, token),
      }
    },
  ),
  storeMutant(
    { name: 'marks ids alone', fault: 'A mark knows neither topic nor type', caughtBy: ['74b'] },
    (store) => {
      const alike = { topic: 'any', type: 'any' }
      return {
        begin: (mark, leaseMs) => store.begin({ ...mark, ...alike }, leaseMs),
        extend: (mark, token, leaseMs) => store.extend({ ...mark, ...alike }, token, leaseMs),
        complete: (mark, token, windowMs) => store.complete({ ...mark, ...alike }, token, windowMs),
        abandon: (mark, token) => store.abandon({ ...mark, ...alike }, token),
      }
    },
  ),
  consumerMutant(
    {
      name: 'fails for an absent store',
      fault: 'An attempt fails while the idempotency store is away',
      caughtBy: ['77c'],
    },
    {
      // The store is asked once, in the handler's place, and its answer is taken for the attempt's.
      options: ({ idempotency: _, ...options }) => options,
      consumer: (consumer, { idempotency }) => {
        if (idempotency === undefined) return consumer
        const store = storeSchema.parse('store' in idempotency ? idempotency.store : idempotency)
        return consumer.use(async ({ idempotencyKey }, next) => {
          await store.begin(idempotencyKey, 1000)
          await next()
        })
      },
    },
  ),
  storeMutant(
    {
      name: 'renews marks for ever',
      fault: 'A handler that hangs keeps its mark after it has lost its message',
      caughtBy: ['77d'],
    },
    (store) => ({
      async begin(mark, leaseMs) {
        const state = await store.begin(mark, leaseMs)
        if (state.state !== 'started') return state
        const renewal = setInterval(() => {
          void store.extend(mark, state.token, leaseMs).then((isOurs) => {
            if (!isOurs) clearInterval(renewal)
          })
        }, leaseMs / 3)
        renewal.unref()
        return state
      },
    }),
  ),
  consumerMutant(
    {
      name: 'gives up what nobody handles',
      fault: 'A type without a handler becomes a dead letter',
      caughtBy: ['23'],
    },
    {
      consumer: (consumer) =>
        consumer.on('#', () => {
          throw new PermanentError('nobody handles it')
        }),
    },
  ),
]

const messageSchema = z.object({ id: z.string(), data: z.unknown(), key: z.string().optional() })
const handlerSchema = z.custom<(...args: readonly unknown[]) => unknown>(
  (value) => typeof value === 'function',
)
const contextSchema = z.custom<HandlerContext>((value) => typeof value === 'object' && value !== null)
