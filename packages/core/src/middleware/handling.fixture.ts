/** One group with one middleware, for the tests of this room. */
import { z } from 'zod'
import { connect } from '../bus/connect.ts'
import type { HandlerContext } from '../deliveries/handler-context.ts'
import type { HandlerMiddleware } from '../handling/middleware.ts'
import { fixed } from '../lib/retry.ts'
import { type VirtualClock, virtualClock } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import { defineTopic } from '../messages/topic.ts'

export const orders = defineTopic('orders', { groups: ['billing'] })
export const Placed = defineMessage(orders, 'order.placed', { schema: z.object({ n: z.number() }) })

export interface Handling extends AsyncDisposable {
  readonly clock: VirtualClock
  /** By the event's name, with what was said about each. */
  readonly heard: string[]
  send(n: number, options?: { readonly id?: string }): Promise<Message>
  /** Until nothing more happens without the clock. */
  settled(): Promise<void>
}

/** Two attempts, a second apart. */
export async function handling(
  middleware: (clock: VirtualClock) => HandlerMiddleware,
  handle: (message: Message<{ n: number }>, context: HandlerContext) => unknown,
): Promise<Handling> {
  const clock = virtualClock()
  const bus = await connect({ url: 'memory:', clock, topics: [orders], console: false })
  const heard: string[] = []
  bus
    .on('handled', ({ message }) => heard.push(`handled ${message?.id}`))
    .on('skipped', ({ message, reason }) => heard.push(`skipped ${message?.id}: ${reason}`))
    .on('retried', ({ error }) => heard.push(`retried: ${error.message}`))
    .on('deadLettered', ({ reason, error }) => heard.push(`dead, ${reason}: ${error?.message}`))
  const consumer = bus
    .consumer('billing', { retry: { attempts: 2, backoff: fixed('1s') } })
    .use(middleware(clock))
    .on(Placed, handle)
  await consumer.start()
  const producer = bus.producer()
  return {
    clock,
    heard,
    send: (n, options) => producer.send(Placed, { n }, options),
    settled: () => clock.advance(0),
    [Symbol.asyncDispose]: () => bus.close({ timeout: 0 }),
  }
}
