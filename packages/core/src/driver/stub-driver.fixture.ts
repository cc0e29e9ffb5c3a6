/** A driver for tests of core, whose every answer is the test's: no broker, no policy, no memory. */

import { connect } from '../bus/connect.ts'
import type {
  Adapter,
  Capabilities,
  Delivery,
  Driver,
  DriverContext,
  HandoverListener,
  OutboundMessage,
  Outcome,
  Settlement,
  Subscription,
} from '../driver.ts'
import { MessagingError, type MessagingErrorOptions } from '../lib/errors.ts'
import { type VirtualClock, virtualClock } from '../lib/virtual-clock.ts'
import { encodeMessage } from '../messages/cloud-events.ts'
import type { Message } from '../messages/message.ts'

export const ok: Outcome = { ok: true }

export function failure(options: MessagingErrorOptions = {}, message = 'the broker said no'): Outcome {
  return { ok: false, error: new MessagingError('rejected', message, options) }
}

export const capabilities: Capabilities = {
  ordered: true,
  delay: true,
  durableRetry: true,
  release: true,
  yieldsKeys: true,
  deadLetters: true,
  stats: true,
  changesFilters: true,
  keepsDeliveries: false,
  priority: true,
  broadcast: true,
  replay: true,
  seek: true,
  lease: true,
  countsCrashes: true,
  delayGranularityMs: 1,
  redeliveryMs: 1,
  maxDelayMs: Number.POSITIVE_INFINITY,
  maxLeaseMs: Number.POSITIVE_INFINITY,
  maxPrefetch: Number.POSITIVE_INFINITY,
  maxMessageBytes: 1_000_000,
  publishBatchSize: 100,
  publishParallelism: 1,
}

function notExpected(call: string): never {
  throw new Error(`${call} was not expected`)
}

/** Everything succeeds and nothing happens, but for the parts given. */
export function stubDriver({
  capabilities: some,
  ...parts
}: Partial<Omit<Driver, 'capabilities'>> & { readonly capabilities?: Partial<Capabilities> } = {}): Driver {
  return {
    name: 'stub',
    capabilities: { ...capabilities, ...some },
    apply: async () => ({ created: [], missing: [] }),
    publish: async (batch) => batch.map(() => ok),
    subscribe: async () => notExpected('subscribe'),
    deadLetters: () => notExpected('deadLetters'),
    seek: async () => notExpected('seek'),
    stats: async () => notExpected('stats'),
    wanted: async (_topic, _group, types) => types.map(() => false),
    administration: {},
    health: async () => ({ status: 'up', details: {} }),
    native: () => undefined,
    close: async () => {},
    ...parts,
  }
}

/** Serves `stub:` URLs; what it was connected with is in `contexts`. */
export function stubAdapter(
  open: () => Driver | Promise<Driver>,
): Adapter & { readonly contexts: DriverContext[] } {
  const contexts: DriverContext[] = []
  return {
    name: 'stub',
    schemes: ['stub'],
    contractVersion: 1,
    contexts,
    connect: async (_url, context) => {
      contexts.push(context)
      return open()
    },
  }
}

/** A bus on the driver, with a clock that stands still. */
export async function stubBus(driver: Driver, clock: VirtualClock = virtualClock()) {
  return {
    clock,
    bus: await connect({ url: 'stub:', adapter: stubAdapter(() => driver), clock, console: false }),
  }
}

/** A driver's `publish` that keeps its batches until the test answers them, in the order they came. */
export function heldPublish() {
  const calls: {
    readonly ids: readonly string[]
    readonly messages: readonly OutboundMessage[]
    readonly answer: (outcome: Outcome | readonly Outcome[] | Error) => void
  }[] = []
  const publish = (batch: readonly OutboundMessage[]) =>
    new Promise<readonly Outcome[]>((resolve, reject) => {
      calls.push({
        ids: batch.map(({ id }) => id),
        messages: batch,
        answer: (outcome) => {
          if (outcome instanceof Error) reject(outcome)
          else resolve('ok' in outcome ? batch.map(() => outcome) : outcome)
        },
      })
    })
  return { calls, publish }
}

export type SettledKind = Settlement['verdict']['kind']

/** A subscription whose deliveries, losses and failures are the test's to make. */
export class StubSubscription implements Subscription {
  readonly leaseMs: number | undefined
  readonly settled: Settlement[] = []
  readonly extended: { readonly deliveries: readonly Delivery[]; readonly leaseMs: number }[] = []
  /** What `receive` was asked for. */
  readonly asked: number[] = []
  closed = 0
  /** How settling goes; a test may put its own in place. */
  onSettle: (settlement: Settlement) => Outcome | Promise<Outcome> = () => ok
  onClose: () => Promise<void> = async () => {}
  settlesAtOnce?: number
  resize?: (prefetch: number) => void
  #waiting: Delivery[] = []
  #error: Error | undefined
  #wake = () => {}
  #lost: (deliveries: readonly Delivery[]) => void = () => {}
  #handOver: HandoverListener = () => {}

  constructor(leaseMs?: number) {
    this.leaseMs = leaseMs
  }

  /** The verdicts so far, in order. */
  get kinds(): readonly SettledKind[] {
    return this.settled.map(({ verdict }) => verdict.kind)
  }

  deliver(...deliveries: readonly Delivery[]): void {
    this.#waiting.push(...deliveries)
    this.#wake()
  }

  breakWith(error: Error): void {
    this.#error = error
    this.#wake()
  }

  lose(...deliveries: readonly Delivery[]): void {
    this.#lost(deliveries)
  }

  handOver(...deliveries: readonly Delivery[]): void {
    this.#handOver(deliveries)
  }

  handOverButBackoffs(...deliveries: readonly Delivery[]): void {
    this.#handOver(deliveries, { keepsBackoffs: true })
  }

  async receive(max: number, signal: AbortSignal): Promise<readonly Delivery[]> {
    this.asked.push(max)
    while (this.#waiting.length === 0 && this.#error === undefined && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
    if (this.#error !== undefined) throw this.#error
    return this.#waiting.splice(0, max)
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly Outcome[]> {
    return Promise.all(
      settlements.map(async (settlement) => {
        const outcome = await this.onSettle(settlement)
        if (outcome.ok) this.settled.push(settlement)
        return outcome
      }),
    )
  }

  async extend(deliveries: readonly Delivery[], leaseMs: number): Promise<void> {
    this.extended.push({ deliveries, leaseMs })
  }

  onLost(listener: (deliveries: readonly Delivery[]) => void): void {
    this.#lost = listener
  }

  onHandover(listener: HandoverListener): void {
    this.#handOver = listener
  }

  async close(): Promise<void> {
    this.closed += 1
    await this.onClose()
  }
}

/** A delivery as a driver hands it over; parts of the message and of the delivery as the test wants them. */
export function delivery(
  message: Partial<Message> = {},
  {
    attempt = 1,
    deliveries = 1,
    headers = {},
    ...rest
  }: Partial<Pick<Delivery, 'attempt' | 'deliveries' | 'crashes' | 'headers'>> = {},
): Delivery {
  const encoded = encodeMessage({
    id: crypto.randomUUID(),
    type: 'order.created',
    version: 1,
    timestamp: new Date(Date.UTC(2026, 0, 1)),
    data: { n: 1 },
    metadata: { source: 'test' },
    ...message,
  })
  return {
    body: encoded.body,
    contentType: encoded.contentType,
    headers: { ...encoded.headers, ...headers },
    attempt,
    deliveries,
    key: message.key,
    ...rest,
  }
}
