import type {
  Delivery,
  OutboundMessage,
  Outcome,
  Settlement,
  Subscription,
  TopicSpec,
  Verdict,
} from '@waybill/core/driver'
import { headerNames } from '@waybill/core/driver'
import { driverMutant, type Mutant } from './mutant.ts'

const done: Outcome = { ok: true }

type Change = (verdict: Verdict, delivery: Delivery) => Verdict

/** A driver that carries out another verdict than the one it was given. */
function verdictMutant(description: Omit<Mutant, 'mutate'>, change: Change): Mutant {
  return driverMutant({
    ...description,
    layers: () => ({
      settle: (settlements, forward) =>
        forward(
          settlements.map(({ delivery, verdict }) => ({ delivery, verdict: change(verdict, delivery) })),
        ),
    }),
  })
}

const ack: Verdict = { kind: 'ack' }

function withSettle(own: Subscription, settle: Subscription['settle']): Subscription {
  return {
    leaseMs: own.leaseMs,
    receive: (max, signal) => own.receive(max, signal),
    settle,
    extend: (deliveries, leaseMs) => own.extend(deliveries, leaseMs),
    onLost: (listener) => own.onLost(listener),
    close: () => own.close(),
  }
}

/** Core is not told of losses either. */
function withReceive(own: Subscription, receive: Subscription['receive']): Subscription {
  return { ...withSettle(own, (settlements) => own.settle(settlements)), receive, onLost: () => undefined }
}

function copyOf(
  topic: TopicSpec,
  { body, contentType = '', key }: Delivery,
  headers: Readonly<Record<string, string>>,
  delayMs: number,
): OutboundMessage {
  const unused = { type: '', id: '', attributes: {}, priority: undefined, expiresAt: undefined }
  return { ...unused, topic, body, contentType, key, headers, delayMs }
}

function without(
  headers: Readonly<Record<string, string>>,
  ...names: readonly string[]
): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !names.includes(name)))
}

export const settling: readonly Mutant[] = [
  driverMutant({
    name: 'claims every feature',
    fault: 'Says that it has what it lacks',
    caughtBy: ['109a', '109b', '109c', '109d', '109e', '109f', '109g'],
    layers: () => ({
      capabilities: (own) => ({
        ...own,
        durableRetry: true,
        release: true,
        deadLetters: true,
        stats: true,
        changesFilters: true,
        maxPrefetch: Number.POSITIVE_INFINITY,
        maxLeaseMs: Number.POSITIVE_INFINITY,
      }),
    }),
  }),
  driverMutant({
    name: 'forgets acks',
    fault: 'Confirms acks that never reach the broker',
    caughtBy: ['24a'],
    layers: () => ({
      async settle(settlements, forward) {
        const others = settlements.filter(({ verdict }) => verdict.kind !== 'ack')
        if (others.length > 0) await forward(others)
        return settlements.map(() => done)
      },
    }),
  }),
  driverMutant({
    name: 'acks before the handler',
    fault: 'Acks each delivery when it hands it over',
    caughtBy: ['25', '31a', '34', '81'],
    layers: () => ({
      subscription: (own) =>
        withReceive(own, async (max, signal) => {
          const deliveries = await own.receive(max, signal)
          await own.settle(deliveries.map((delivery) => ({ delivery, verdict: ack })))
          return deliveries
        }),
    }),
  }),
  driverMutant({
    name: 'settles what somebody else has',
    fault: 'A settlement that comes too late ends the redelivery at another member',
    caughtBy: ['30'],
    layers: () => {
      // By message id: how to settle the delivery that is current, whoever has it.
      const current = new Map<string, () => Promise<unknown>>()
      const idOf = ({ headers }: Delivery) => headers['ce-id'] ?? ''
      return {
        subscription(own) {
          own.onLost((deliveries) => {
            // Its handler will ack it when it is through; the fault is that this ack counts.
            for (const delivery of deliveries) setTimeout(() => current.get(idOf(delivery))?.(), 100)
          })
          return withReceive(own, async (max, signal) => {
            const deliveries = await own.receive(max, signal)
            for (const delivery of deliveries) {
              current.set(idOf(delivery), () => own.settle([{ delivery, verdict: ack }]))
            }
            return deliveries
          })
        },
      }
    },
  }),
  verdictMutant(
    {
      name: 'gives back to the end',
      fault: 'What is released comes again behind all that waits',
      caughtBy: ['96a', '96c', '96d', '96e'],
    },
    (verdict, { headers }) => (verdict.kind === 'release' ? { kind: 'retry', delayMs: 0, headers } : verdict),
  ),
  driverMutant({
    name: 'takes releases for done',
    fault: 'Says of a release that was refused that it is durable',
    caughtBy: ['96b'],
    layers: () => ({
      settle: async (settlements, forward) =>
        (await forward(settlements)).map((outcome, index) =>
          settlements[index]?.verdict.kind === 'release' ? done : outcome,
        ),
    }),
  }),
  verdictMutant(
    { name: 'loses retries', fault: 'Acks what should be retried', caughtBy: ['25', '26', '32', '76'] },
    (verdict) => (verdict.kind === 'retry' ? ack : verdict),
  ),
  verdictMutant(
    {
      name: 'forgets the attempt',
      fault: 'A retry comes back as the first attempt',
      caughtBy: ['25', '34', '35a'],
    },
    (verdict) =>
      verdict.kind === 'retry'
        ? { ...verdict, headers: without(verdict.headers, headerNames.attempt) }
        : verdict,
  ),
  driverMutant({
    name: 'fails the neighbours too',
    fault: 'Releases what else was in hand when one message fails',
    caughtBy: ['26'],
    layers: () => {
      let owed = 0
      return {
        settle: (settlements, forward) =>
          forward(
            settlements.map(({ delivery, verdict }): Settlement => {
              if (verdict.kind === 'retry') owed = 3
              if (verdict.kind !== 'ack' || owed === 0) return { delivery, verdict }
              owed -= 1
              return { delivery, verdict: { kind: 'release' } }
            }),
          ),
      }
    },
  }),
  verdictMutant(
    {
      name: 'drops what is released',
      fault: 'Acks what a consumer gives back',
      caughtBy: ['31a', '33', '58b', '81', '83'],
    },
    (verdict) => (verdict.kind === 'release' ? ack : verdict),
  ),
  verdictMutant(
    {
      name: 'counts a release',
      fault: 'A released message comes back as the next attempt',
      caughtBy: ['33'],
    },
    (verdict, { headers, attempt }) =>
      verdict.kind === 'release'
        ? { kind: 'retry', delayMs: 0, headers: { ...headers, [headerNames.attempt]: String(attempt + 1) } }
        : verdict,
  ),
  verdictMutant(
    { name: 'releases late', fault: 'A released message waits for three seconds', caughtBy: ['33'] },
    (verdict, { headers }) =>
      verdict.kind === 'release' ? { kind: 'retry', delayMs: 3000, headers } : verdict,
  ),
  verdictMutant(
    { name: 'retries early', fault: 'Waits half of the delay of a retry', caughtBy: ['36', '42'] },
    (verdict) => (verdict.kind === 'retry' ? { ...verdict, delayMs: verdict.delayMs / 2 } : verdict),
  ),
  verdictMutant(
    {
      name: 'retries late',
      fault: 'Waits six seconds longer than the delay of a retry',
      caughtBy: ['36', '42'],
    },
    (verdict) => (verdict.kind === 'retry' ? { ...verdict, delayMs: verdict.delayMs + 6000 } : verdict),
  ),
  driverMutant({
    name: 'waits in line',
    fault: 'A message that waits for its retry holds up its whole subscription',
    caughtBy: ['38'],
    layers: () => {
      const blocked = new WeakMap<object, number>()
      return {
        async receive(max, signal, forward, request) {
          const waitMs = (blocked.get(request) ?? 0) - Date.now()
          if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
          return forward(max, signal)
        },
        settle(settlements, forward, request) {
          for (const { verdict } of settlements) {
            if (verdict.kind === 'retry') blocked.set(request, Date.now() + verdict.delayMs + 50)
          }
          return forward(settlements)
        },
      }
    },
  }),
  driverMutant({
    name: 'retries through the topic',
    fault: 'A retry reaches every group of the topic',
    caughtBy: ['43'],
    layers: () => ({
      subscription: (own, { topic }, driver) =>
        withSettle(own, async (settlements) => {
          const changed = settlements.map(({ delivery, verdict }): Settlement => {
            if (verdict.kind !== 'retry') return { delivery, verdict }
            void driver.publish([copyOf(topic, delivery, verdict.headers, verdict.delayMs)])
            return { delivery, verdict: ack }
          })
          return own.settle(changed)
        }),
    }),
  }),
  verdictMutant(
    { name: 'loses metadata', fault: 'A retry keeps the headers of Waybill only', caughtBy: ['72a'] },
    (verdict) =>
      verdict.kind === 'retry'
        ? {
            ...verdict,
            headers: Object.fromEntries(
              Object.entries(verdict.headers).filter(([name]) => /^(ce|waybill)-/.test(name)),
            ),
          }
        : verdict,
  ),
  driverMutant({
    name: 'keeps what it gave up',
    fault: 'A dead letter stays with its group as well',
    caughtBy: ['44'],
    layers: () => ({
      subscription: (own, { topic }, driver) =>
        withSettle(own, async (settlements) => {
          for (const { delivery, verdict } of settlements) {
            if (verdict.kind !== 'dead-letter') continue
            await driver.publish([copyOf(topic, delivery, delivery.headers, 50)])
          }
          return own.settle(settlements)
        }),
    }),
  }),
  driverMutant({
    name: 'acks what it cannot bury',
    fault: 'Acks a message whose dead letter could not be written',
    caughtBy: ['46a'],
    layers: () => ({
      async settle(settlements, forward) {
        const outcomes = await forward(settlements)
        const failed = settlements.filter((_, index) => outcomes[index]?.ok === false)
        if (failed.length > 0) await forward(failed.map(({ delivery }) => ({ delivery, verdict: ack })))
        return settlements.map(() => done)
      },
    }),
  }),
  verdictMutant(
    {
      name: 'swallows foreign bodies',
      fault: 'Acks what cannot be decoded',
      caughtBy: ['45b', '88a'],
    },
    (verdict) =>
      verdict.kind === 'dead-letter' && verdict.headers[headerNames.reason] === 'undecodable' ? ack : verdict,
  ),
  verdictMutant(
    {
      name: 'forgets why',
      fault: 'A dead letter does not say what the error was',
      caughtBy: ['41', '45a'],
    },
    (verdict) =>
      verdict.kind === 'dead-letter'
        ? { ...verdict, headers: without(verdict.headers, headerNames.errorName, headerNames.errorMessage) }
        : verdict,
  ),
  verdictMutant(
    {
      name: 'forgets when it began',
      fault: 'A dead letter tells the last failure as the first',
      caughtBy: ['45a'],
    },
    (verdict) => {
      if (verdict.kind !== 'dead-letter') return verdict
      const failedAt = verdict.headers[headerNames.failedAt] ?? ''
      return { ...verdict, headers: { ...verdict.headers, [headerNames.firstFailedAt]: failedAt } }
    },
  ),
]
