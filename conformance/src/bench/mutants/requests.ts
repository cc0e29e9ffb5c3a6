import { MessagingError } from '@waybill/core'
import { type Delivery, headerNames, type OutboundMessage, type Outcome } from '@waybill/core/driver'
import { z } from 'zod'
import { type Interceptor, intercept } from './intercept.ts'
import { busMutant, driverMutant, type Mutant } from './mutant.ts'

const done: Outcome = { ok: true }

const outcomeOf = ({ headers }: OutboundMessage) => headers.outcome

const streamSchema = z.custom<{ return(): Promise<unknown> }>((value) => typeof value === 'object')

const listSchema = z.array(z.unknown())

const optionsSchema = z.record(z.string(), z.unknown()).default({})

function requestMutant(description: Omit<Mutant, 'mutate'>, request: () => Interceptor): Mutant {
  return busMutant({ ...description, bus: (bus) => intercept(bus, { request: request() }) })
}

export const requests: readonly Mutant[] = [
  driverMutant({
    name: 'forgets who asked',
    fault: 'A request that is tried again has lost the address of its reply',
    caughtBy: ['240a'],
    layers: () => ({
      settle: (settlements, forward) =>
        forward(
          settlements.map((settlement) => {
            const { verdict } = settlement
            if (verdict.kind !== 'retry') return settlement
            const { [headerNames.replyTo]: _, ...headers } = verdict.headers
            return { ...settlement, verdict: { ...verdict, headers } }
          }),
        ),
    }),
  }),
  driverMutant({
    name: 'gives each reply to one',
    fault: 'A broadcast is shared by its subscriptions',
    caughtBy: ['240b', '246a'],
    layers: () => {
      const taken = new Set<string>()
      const isNew = ({ body }: Delivery) => {
        const text = new TextDecoder().decode(body)
        return taken.size < taken.add(text).size
      }
      return {
        async receive(max, signal, forward, { broadcast }) {
          const received = await forward(max, signal)
          return broadcast ? received.filter(isNew) : received
        },
      }
    },
  }),
  driverMutant({
    name: 'keeps failures to itself',
    fault: 'Requesters are not told of what was given up',
    caughtBy: ['241a'],
    layers: () => ({
      async publish(batch, forward) {
        const others = batch.filter((message) => outcomeOf(message) !== 'failed')
        const outcomes = others.length === 0 ? [] : await forward(others)
        return batch.map((message) => outcomes[others.indexOf(message)] ?? done)
      },
    }),
  }),
  requestMutant(
    {
      name: 'works for those who are gone',
      fault: 'A request outlives its requester',
      caughtBy: ['241b'],
    },
    () =>
      ([definition, data, options], forward) =>
        forward(definition, data, { expiresIn: '1h', ...optionsSchema.parse(options) }),
  ),
  driverMutant({
    name: 'leaves its broadcasts',
    fault: 'Closing a bus leaves the subscription of a broadcast at the broker',
    caughtBy: ['242a'],
    layers: () => ({
      async closeSubscription(forward, { broadcast }) {
        if (!broadcast) await forward()
      },
    }),
  }),
  busMutant({
    name: 'hangs up',
    fault: 'Handlers that are drained may not request',
    caughtBy: ['242b'],
    bus: (bus) => {
      let isClosing = false
      return intercept(bus, {
        close(args, forward) {
          isClosing = true
          return forward(...args)
        },
        async request(args, forward) {
          if (isClosing) throw new MessagingError('closed', 'The bus is closed')
          return forward(...args)
        },
      })
    },
  }),
  driverMutant({
    name: 'broadcasts once',
    fault: 'A broadcast that was lost and subscribed to again brings nothing',
    caughtBy: ['243'],
    layers: () => {
      const known = new Set<string>()
      const deaf = new WeakSet<object>()
      return {
        async subscribe(request, forward) {
          const name = `${request.topic.name} ${request.group.name}`
          if (request.broadcast && known.has(name)) deaf.add(request)
          known.add(name)
          return forward(request)
        },
        async receive(max, signal, forward, request) {
          const received = await forward(max, signal)
          return deaf.has(request) ? [] : received
        },
      }
    },
  }),
  driverMutant({
    name: 'claims to broadcast',
    fault: 'A driver without broadcast is asked for it',
    caughtBy: ['244'],
    layers: () => ({ capabilities: (own) => ({ ...own, broadcast: true }) }),
  }),
  busMutant({
    name: 'takes the first of several',
    fault: 'A handler of several definitions is registered for the first',
    caughtBy: ['245'],
    bus: (bus) =>
      intercept(bus, {
        consumer: ([group, options]) =>
          intercept(Reflect.apply(bus.consumer, bus, [group, options]), {
            on: ([first, ...others], forward) => {
              const list = listSchema.safeParse(first)
              return forward(list.success ? list.data.slice(0, 1) : first, ...others)
            },
          }),
      }),
  }),
  busMutant({
    name: 'never hangs up',
    fault: 'Leaving a stream leaves its consumer running',
    caughtBy: ['246b'],
    bus: (bus) =>
      intercept(bus, {
        on: (args, forward) => {
          const stream = forward(...args)
          if (typeof args[0] === 'string') return stream
          return intercept(streamSchema.parse(stream), {
            return: async () => ({ done: true, value: undefined }),
          })
        },
      }),
  }),
]
