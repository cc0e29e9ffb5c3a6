import { MessagingError } from '@waybill/core'
import type { Delivery } from '@waybill/core/driver'
import { driverMutant, type Mutant } from './mutant.ts'
import { withField } from './with-field.ts'

const never = new Promise<never>(() => undefined)

/** A driver whose deliveries say something else than what the broker said. */
/** A driver whose deliveries are other than what it has received. */
export function deliveryMutant(
  description: Omit<Mutant, 'mutate'>,
  change: (delivery: Delivery) => Delivery,
): Mutant {
  return driverMutant({
    ...description,
    layers: () => {
      // Core hands back the very objects it got; the driver wants its own.
      const originals = new WeakMap<Delivery, Delivery>()
      const originalOf = (delivery: Delivery) => originals.get(delivery) ?? delivery
      return {
        receive: async (max, signal, forward) =>
          (await forward(max, signal)).map((delivery) => {
            const changed = change(delivery)
            originals.set(changed, delivery)
            return changed
          }),
        settle: (settlements, forward) =>
          forward(settlements.map(({ delivery, verdict }) => ({ delivery: originalOf(delivery), verdict }))),
        extend: (deliveries, leaseMs, forward) => forward(deliveries.map(originalOf), leaseMs),
      }
    },
  })
}

export const receiving: readonly Mutant[] = [
  driverMutant({
    name: 'forgets the backlog',
    fault: 'A new subscription drops what was waiting for it',
    caughtBy: ['2', '15', '9b'],
    layers: () => ({
      async subscribe(request, forward) {
        const subscription = await forward(request)
        const waiting = await subscription.receive(1000, AbortSignal.timeout(20))
        await subscription.settle(waiting.map((delivery) => ({ delivery, verdict: { kind: 'ack' } })))
        return subscription
      },
    }),
  }),
  driverMutant({
    name: 'gives everything to one member',
    fault: 'The members of a group that came later get nothing',
    caughtBy: ['13'],
    layers: () => {
      const first = new Map<string, object>()
      return {
        receive(max, signal, forward, request) {
          const key = `${request.topic.name} ${request.group.name}`
          if (!first.has(key)) first.set(key, request)
          if (first.get(key) === request) return forward(max, signal)
          return new Promise((resolve) => {
            signal.addEventListener('abort', () => resolve([]), { once: true })
          })
        },
      }
    },
  }),
  driverMutant({
    name: 'gives every member everything',
    fault: 'Treats a group as a broadcast',
    caughtBy: ['13', '29'],
    layers: () => ({ subscribe: (request, forward) => forward({ ...request, broadcast: true }) }),
  }),
  driverMutant({
    name: 'lets groups share',
    fault: 'The groups of a topic take from one queue',
    caughtBy: ['14', '43', '58a'],
    layers: () => {
      const firstOf = new Map<string, string>()
      return {
        subscribe(request, forward) {
          const name = firstOf.get(request.topic.name) ?? request.group.name
          firstOf.set(request.topic.name, name)
          return forward({ ...request, group: { ...request.group, name } })
        },
      }
    },
  }),
  driverMutant({
    name: 'starts every group with the latest',
    fault: 'Ignores that a new group wants the earliest messages',
    caughtBy: ['16a'],
    layers: () => ({
      apply: (topology, mode, forward) =>
        forward(
          {
            topics: topology.topics.map(({ topic, groups }) => ({
              topic,
              groups: groups.map((group) => ({ ...group, from: 'latest' })),
            })),
          },
          mode,
        ),
    }),
  }),
  driverMutant({
    name: 'does not seek',
    fault: 'Accepts a seek and stays where it is',
    caughtBy: ['16b'],
    layers: () => ({ seek: async () => undefined }),
  }),
  driverMutant({
    name: 'shares broadcasts',
    fault: 'The instances of a broadcast compete for its messages',
    caughtBy: ['18'],
    layers: () => ({ subscribe: (request, forward) => forward({ ...request, broadcast: false }) }),
  }),
  driverMutant({
    name: 'reads ahead',
    fault: 'Takes ten times of what core has room for and keeps it in a list of its own',
    caughtBy: ['56'],
    layers: () => {
      const ahead = new WeakMap<object, Delivery[]>()
      return {
        async receive(max, signal, forward, request) {
          const list = ahead.get(request) ?? []
          ahead.set(request, list)
          if (list.length === 0) list.push(...(await forward(max * 10, signal)))
          return list.splice(0, max)
        },
      }
    },
  }),
  driverMutant({
    name: 'reads the whole backlog',
    fault: 'Takes everything there is and keeps copies of it',
    caughtBy: ['57'],
    layers: () => {
      const copies: Uint8Array[] = []
      const ahead = new WeakMap<object, Delivery[]>()
      return {
        async receive(max, signal, forward, request) {
          const list = ahead.get(request) ?? []
          ahead.set(request, list)
          if (list.length === 0) {
            const all = await forward(1_000_000, signal)
            for (const delivery of all) {
              list.push(delivery)
              copies.push(Uint8Array.from(delivery.body))
            }
          }
          return list.splice(0, max)
        },
      }
    },
  }),
  driverMutant({
    name: 'lets leases run out early',
    fault: 'Asks the broker for a tenth of the lease it states',
    caughtBy: ['28', '29'],
    layers: () => ({
      async subscribe(request, forward) {
        const subscription = await forward({ ...request, leaseMs: request.leaseMs / 10 })
        return withField(subscription, 'leaseMs', request.leaseMs)
      },
    }),
  }),
  driverMutant({
    name: 'never ends a lease',
    fault: 'What is not settled never comes back',
    caughtBy: ['28', '30'],
    layers: () => ({ subscribe: (request, forward) => forward({ ...request, leaseMs: 3_600_000 }) }),
  }),
  driverMutant({
    name: 'does not renew leases',
    fault: 'Accepts renewals and does nothing',
    caughtBy: ['29'],
    layers: () => ({ extend: async () => undefined }),
  }),
  deliveryMutant(
    { name: 'does not count crashes', fault: 'Every delivery says that it is the first', caughtBy: ['79c'] },
    (delivery) => ({ ...delivery, deliveries: 1, crashes: 0 }),
  ),
  deliveryMutant(
    {
      name: 'counts releases as crashes',
      fault: 'Whatever was handed out again is said to have killed its consumer',
      caughtBy: ['95a', '95b', '95c', '95d', '95e', '95f'],
    },
    (delivery) => ({ ...delivery, crashes: delivery.deliveries - delivery.attempt }),
  ),
  driverMutant({
    name: 'takes keys for a detail',
    fault: 'Treats ordered topics as if they were not, so that a key is spread over the members',
    caughtBy: ['51', '52b', '96f', '96i'],
    layers: () => ({
      apply: (topology, mode, forward) =>
        forward(
          {
            topics: topology.topics.map(({ topic, groups }) => ({
              topic: { ...topic, ordered: false },
              groups,
            })),
          },
          mode,
        ),
    }),
  }),
  driverMutant({
    name: 'turns batches round',
    fault: 'Hands over what it has in the wrong order',
    caughtBy: ['51', '52a', '96g'],
    layers: () => ({
      receive: async (max, signal, forward) => [...(await forward(max, signal))].reverse(),
    }),
  }),
  deliveryMutant(
    {
      name: 'reads one spelling',
      fault: 'Drops attributes in the spelling of the Kafka binding',
      caughtBy: ['73c'],
    },
    (delivery) => ({
      ...delivery,
      headers: Object.fromEntries(
        Object.entries(delivery.headers).filter(([name]) => !name.startsWith('ce_')),
      ),
    }),
  ),
  driverMutant({
    name: 'dies silently',
    fault: 'A subscription that was lost waits for ever instead of saying so',
    caughtBy: ['85a', '86a'],
    layers: () => ({ receive: (max, signal, forward) => forward(max, signal).catch(() => never) }),
  }),
  driverMutant({
    name: 'dies of one failed receive',
    fault: 'Calls any receive that fails the end of the subscription',
    caughtBy: ['97a'],
    layers: () => ({
      receive: (max, signal, forward) =>
        forward(max, signal).catch((error: unknown) => {
          throw new MessagingError('failed', 'the subscription ended', { cause: error })
        }),
    }),
  }),
  driverMutant({
    name: 'hides failed receives',
    fault: 'A receive that fails looks like one that found nothing',
    caughtBy: ['107d'],
    layers: () => ({
      receive: (max, signal, forward) =>
        forward(max, signal).catch(async () => {
          await new Promise((resolve) => setTimeout(resolve, 20))
          return []
        }),
    }),
  }),
  driverMutant({
    name: 'calls every lease renewed',
    fault: 'Says that leases are renewed whether they are or not',
    caughtBy: ['98e', '98f'],
    layers: () => ({
      extend: async (deliveries, leaseMs, forward) =>
        void forward(deliveries, leaseMs).catch(() => undefined),
    }),
  }),
  driverMutant({
    name: 'keeps room for what is lost',
    fault: 'Hands out no more than prefetch until each delivery is settled, which lost ones never are',
    caughtBy: ['98j'],
    layers: () => {
      const held = new Set<Delivery>()
      let most = 0
      return {
        subscribe(request, forward) {
          most = request.prefetch
          return forward(request)
        },
        async settle(settlements, forward) {
          for (const { delivery } of settlements) held.delete(delivery)
          return forward(settlements)
        },
        async receive(max, signal, forward) {
          while (held.size >= most && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, 10))
          if (signal.aborted) return []
          const received = await forward(max, signal)
          for (const delivery of received) held.add(delivery)
          return received
        },
      }
    },
  }),
  driverMutant({
    name: 'stops for what it cannot settle',
    fault: 'Hands out nothing while a verdict could not be carried out',
    caughtBy: ['101a', '101b'],
    layers: () => {
      const failing = new Set<Delivery>()
      return {
        async settle(settlements, forward) {
          const outcomes = await forward(settlements)
          for (const [index, { delivery }] of settlements.entries()) {
            if (outcomes[index]?.ok === true) failing.delete(delivery)
            else failing.add(delivery)
          }
          return outcomes
        },
        async receive(max, signal, forward) {
          while (failing.size > 0 && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, 10))
          return signal.aborted ? [] : forward(max, signal)
        },
      }
    },
  }),
  driverMutant({
    name: 'gives up at the first cut',
    fault: 'Calls a lost connection final',
    caughtBy: ['85a'],
    layers: () => ({
      publish: (batch, forward) =>
        forward(batch).catch((error: unknown) => {
          throw new MessagingError('failed', 'the connection is lost', { cause: error, fate: 'unknown' })
        }),
    }),
  }),
  driverMutant({
    name: 'tries to connect once',
    fault: 'Calls a broker that is not there yet final',
    caughtBy: ['87a'],
    layers: () => ({
      connect: (forward) =>
        forward().catch((error: unknown) => {
          throw new MessagingError('connection-failed', 'nobody listens', { cause: error })
        }),
    }),
  }),
]
