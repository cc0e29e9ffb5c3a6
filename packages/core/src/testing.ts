/**
 * For the tests of applications: a bus on the memory driver whose clock stands still until the test moves it, and a record of
 * what went through it.
 */
import { z } from 'zod'
import type { Bus } from './bus/bus.ts'
import { type ConnectOptions, connect } from './bus/connect.ts'
import type { DeliveryInfo } from './events/events.ts'
import type { Duration } from './lib/duration.ts'
import { lazily, parseOptions } from './lib/validation.ts'
import { settle, type VirtualClock, virtualClock } from './lib/virtual-clock.ts'
import { type MessageDefinition, requireDefinition } from './messages/definition.ts'
import type { Message } from './messages/message.ts'
import { definedTopicSchema, nameSchema, typeSchema } from './messages/topic.ts'

export { type VirtualClock, virtualClock } from './lib/virtual-clock.ts'

/** Which attempts should fail, and with what error. */
export interface FailNextOptions {
  /** Default: `new Error('Failed by the test')`. */
  readonly error?: unknown
  /** Of this group only. Default: of any. */
  readonly group?: string
  /** Of this message type only, such as `order.placed`. Default: of any. */
  readonly type?: string
}

const failNextSchema = lazily(() =>
  z.strictObject({
    count: z.int().min(1),
    error: z.unknown().default(() => new Error('Failed by the test')),
    group: nameSchema().optional(),
    type: typeSchema().optional(),
  }),
)

const testBusSchema = lazily(() =>
  z.strictObject({
    topics: z.array(definedTopicSchema()).optional(),
    native: z.record(z.string(), z.unknown()).optional(),
  }),
)

export interface TestBus extends AsyncDisposable {
  /**
   * The bus to pass to the code under test.
   *
   * ```ts
   * await startBilling(kit.bus)
   * ```
   */
  readonly bus: Bus
  /**
   * The clock that `advance` moves.
   *
   * ```ts
   * const store = memoryIdempotencyStore({ clock: kit.clock })
   * ```
   */
  readonly clock: VirtualClock
  /**
   * Every message that was sent, in order.
   *
   * ```ts
   * assert.deepEqual(kit.sent.map(({ type }) => type), ['order.placed', 'order.paid'])
   * ```
   */
  readonly sent: readonly Message[]
  /**
   * Every delivery whose handler resolved, in order.
   *
   * ```ts
   * assert.equal(kit.handled.filter(({ group }) => group === 'billing').length, 1)
   * ```
   */
  readonly handled: readonly DeliveryInfo[]
  /**
   * The messages of one definition that were sent, typed.
   *
   * ```ts
   * assert.deepEqual(kit.sentOf(OrderPaid)[0]?.data, { orderId: 'o-1' })
   * ```
   */
  sentOf<Output, Type extends string>(
    definition: MessageDefinition<unknown, Output, string, Type>,
  ): readonly Message<Output, Type>[]
  /**
   * The next `count` attempts fail before their handler is called: of any group and type, or of those named.
   *
   * ```ts
   * kit.failNext(2, { group: 'billing', error: new Error('the bank is closed') })
   * ```
   */
  failNext(count: number, options?: FailNextOptions): void
  /**
   * Resolves when no handler is running and nothing more will happen until the clock moves. It does not wait for messages
   * that a pull loop has in hand: the test settles those.
   *
   * ```ts
   * await kit.bus.producer().send(OrderPlaced, { orderId: 'o-1' })
   * await kit.idle()
   * ```
   */
  idle(): Promise<void>
  /**
   * Moves the clock: backoffs, delays, timeouts, leases and windows that end on the way do so at once, each at its own time.
   *
   * ```ts
   * await kit.advance('1h')
   * ```
   *
   * @throws {ConfigurationError} when it is not a duration.
   */
  advance(duration: Duration): Promise<void>
}

/**
 * A bus on a memory broker of its own, with a virtual clock. It writes nothing to the console.
 *
 * ```ts
 * await using kit = await createTestBus({ topics: [orders] })
 * await startBilling(kit.bus)
 * await kit.bus.producer().send(OrderPlaced, { orderId: 'o-1' })
 * await kit.idle()
 * assert.equal(kit.handled.length, 1)
 * ```
 *
 * @throws {ConfigurationError} listing every problem of the options.
 */
export async function createTestBus(
  options: Pick<ConnectOptions, 'topics' | 'native'> = {},
): Promise<TestBus> {
  parseOptions(testBusSchema(), options, 'test bus options')
  const clock = virtualClock()
  const bus = await connect({ ...options, url: 'memory:', clock, console: false })
  const sent: Message[] = []
  const sentTo: string[] = []
  const handled: DeliveryInfo[] = []
  const failures: {
    readonly error: unknown
    readonly group: string | undefined
    readonly type: string | undefined
  }[] = []
  bus
    .on('sent', ({ topic, message }) => {
      sent.push(message)
      sentTo.push(topic)
    })
    .on('handled', (info) => handled.push(info))
  bus.use({
    handle: async ({ group, message }, next) => {
      const index = failures.findIndex(
        (each) => (each.group ?? group) === group && (each.type ?? message.type) === message.type,
      )
      const [failure] = index < 0 ? [] : failures.splice(index, 1)
      if (failure !== undefined) throw failure.error
      await next()
    },
  })
  return {
    bus,
    clock,
    sent,
    handled,
    sentOf: <Output, Type extends string>(definition: MessageDefinition<unknown, Output, string, Type>) => {
      requireDefinition(definition, 'sentOf')
      const { topic, type } = definition
      return sent.filter(
        (message, index): message is Message<Output, Type> =>
          message.type === type && sentTo[index] === topic.name,
      )
    },
    failNext: (count, options = {}) => {
      const { error, group, type } = parseOptions(failNextSchema(), { ...options, count }, 'failNext')
      for (let each = 0; each < count; each += 1) failures.push({ error, group, type })
    },
    idle: async () => {
      do await settle()
      while ((await bus.health()).consumers.some(({ running, isPull }) => running > 0 && isPull !== true))
      await settle()
    },
    advance: (duration) => clock.advance(duration),
    [Symbol.asyncDispose]: () => bus.close({ timeout: 0 }),
  }
}
