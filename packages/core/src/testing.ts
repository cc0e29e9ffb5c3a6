/**
 * What applications test themselves with: a bus on the memory driver whose clock stands still until it is told to
 * move, and a look at what went through it.
 */
import type { Bus } from './bus/bus.ts'
import { type ConnectOptions, connect } from './bus/connect.ts'
import type { DeliveryInfo } from './events/events.ts'
import type { Duration } from './lib/duration.ts'
import { settle, type VirtualClock, virtualClock } from './lib/virtual-clock.ts'
import type { Message, MessageDefinition } from './messages/message.ts'

export { type VirtualClock, virtualClock } from './lib/virtual-clock.ts'

export interface TestBus extends AsyncDisposable {
  /** To hand to the code under test. */
  readonly bus: Bus
  readonly clock: VirtualClock
  /** Everything that was sent, in order. */
  readonly sent: readonly Message[]
  /** Everything whose handler resolved, in order. */
  readonly handled: readonly DeliveryInfo[]
  /** What of one definition was sent, typed. */
  sentOf<Output>(definition: MessageDefinition<unknown, Output>): readonly Message<Output>[]
  /** The next handlings, of any group, fail with the error before their handler is called. */
  failNext(count: number, error?: Error): void
  /** Resolves when no handler runs and none has anything to do before the clock moves on. */
  idle(): Promise<void>
  /** Moves the clock on: backoffs, delays, leases and windows run out in no time. */
  advance(duration: Duration): Promise<void>
}

/** A bus on a memory broker of its own, with a virtual clock. */
export async function createTestBus(
  options: Pick<ConnectOptions, 'topics' | 'native'> = {},
): Promise<TestBus> {
  const clock = virtualClock()
  const bus = await connect({ ...options, url: 'memory:', clock })
  const sent: Message[] = []
  const sentTo: string[] = []
  const handled: DeliveryInfo[] = []
  const failures: Error[] = []
  bus
    .on('sent', ({ topic, message }) => {
      sent.push(message)
      sentTo.push(topic)
    })
    .on('handled', (info) => handled.push(info))
  bus.use({
    handle: async (_context, next) => {
      const failure = failures.shift()
      if (failure !== undefined) throw failure
      await next()
    },
  })
  return {
    bus,
    clock,
    sent,
    handled,
    sentOf: <Output>({ topic, type }: MessageDefinition<unknown, Output>) =>
      sent.filter(
        (message, index): message is Message<Output> => message.type === type && sentTo[index] === topic.name,
      ),
    failNext: (count, error = new Error('Failed by the test')) => {
      for (let each = 0; each < count; each += 1) failures.push(error)
    },
    idle: async () => {
      do await settle()
      while ((await bus.health()).consumers.some(({ running }) => running > 0))
      await settle()
    },
    advance: (duration) => clock.advance(duration),
    [Symbol.asyncDispose]: () => bus.close({ timeout: 0 }),
  }
}
