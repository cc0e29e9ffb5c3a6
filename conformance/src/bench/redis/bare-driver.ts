import type { Topic } from '@waybill/core'
import {
  type Clock,
  type Delivery,
  type Driver,
  type DriverEvent,
  type OutboundMessage,
  parseBrokerUrl,
  type Subscription,
  systemClock,
} from '@waybill/core/driver'
import type { CaseContext } from '../../case/case-context.ts'

export interface BareOptions {
  readonly clock?: Clock
  readonly leaseMs?: number
  readonly url?: string
  readonly onEvent?: (event: DriverEvent) => void
}

export const group = { name: 'members', types: ['#'], wishes: [], from: 'latest' } as const

/** The driver itself, without core, so that a case decides when a member receives, extends and settles. */
export async function driverOf(
  context: CaseContext,
  { clock = systemClock, onEvent = () => undefined, url }: BareOptions = {},
): Promise<Driver> {
  const { adapter, connection } = context.harness
  const driver = await adapter.connect(parseBrokerUrl(url ?? connection.url), {
    native: connection.native?.[adapter.name],
    instance: context.unique('driver'),
    clock,
    signal: new AbortController().signal,
    emit: onEvent,
  })
  context.defer(() => driver.close())
  return driver
}

export function join(
  driver: Driver,
  topic: Topic,
  { leaseMs = 500 }: BareOptions = {},
): Promise<Subscription> {
  return driver.subscribe({ topic, group, prefetch: 1000, maxPrefetch: 1000, leaseMs, broadcast: false })
}

/** Keys are `only` unless the case says otherwise. */
export const messageOf = (
  topic: Topic,
  n: number,
  changes: Partial<OutboundMessage> = {},
): OutboundMessage => ({
  ...{ topic, type: 'number.sent', id: `m-${n}`, key: 'only', body: Buffer.from(String(n)) },
  ...{ contentType: 'text/plain', attributes: {}, headers: {} },
  ...{ delayMs: 0, priority: undefined, expiresAt: undefined },
  ...changes,
})

export const numbersOf = (deliveries: readonly Delivery[]) =>
  deliveries.map(({ body }) => Number(Buffer.from(body).toString()))

const never = new AbortController().signal

/** What a member receives next, at least one. */
export async function some(
  context: CaseContext,
  member: Subscription,
  max: number,
): Promise<readonly Delivery[]> {
  let found: readonly Delivery[] = []
  await context.eventually('there is a delivery', async () => {
    found = await member.receive(max, never)
    return found.length > 0
  })
  return found
}

/** Receives and acks until there are `count`; what else there is to the member goes on meanwhile. */
export async function take(
  context: CaseContext,
  member: Subscription,
  count: number,
): Promise<readonly number[]> {
  const numbers: number[] = []
  const loop = async () => {
    while (numbers.length < count) {
      const deliveries = await member.receive(100, never)
      await member.settle(deliveries.map((delivery) => ({ delivery, verdict: { kind: 'ack' } })))
      numbers.push(...numbersOf(deliveries))
    }
  }
  await context.within(`${count} deliveries`, loop())
  return numbers
}
