import { z } from 'zod'
import type { DeliveryInHand } from '../deliveries/delivery.ts'
import { hasFunctions, lazily } from '../lib/validation.ts'
import { attributesIn } from '../messages/cloud-events.ts'
import type { Message } from '../messages/message.ts'
import type { TraceContext } from '../messages/trace-context.ts'

/** A delivery, as far as it is known: `message` is undefined when it cannot be decoded. */
export interface IncomingTrace extends TraceContext {
  readonly topic: string
  readonly group: string
  readonly attempt: number
  readonly headers: Readonly<Record<string, string>>
  readonly message: Message | undefined
  /** What `failedIn` said when it failed last; of a retry, and of a replayed dead letter. */
  readonly failedIn: string | undefined
}

/**
 * Carries a context, such as a trace, from a send to all that is done with the message. Given to `connect({ propagation })`.
 * What it throws is reported as a `failure` and changes nothing for the message.
 *
 * @example
 * const propagation: Propagation<Context> = {
 *   inject: () => {
 *     const carrier: TraceContext = {}
 *     api.propagation.inject(api.context.active(), carrier)
 *     return carrier
 *   },
 *   extract: (incoming) => api.propagation.extract(api.ROOT_CONTEXT, incoming),
 *   run: (context, run) => api.context.with(context, run),
 * }
 */
export interface Propagation<Context = unknown> {
  /**
   * The trace context that a message is sent with; called for each send, within its middleware. Undefined: that of the message
   * being handled, as without a propagation. `traceparent` in the options of `send` takes precedence.
   */
  inject(): TraceContext | undefined
  /** The context of a delivery; called for each attempt, and for what cannot be decoded. */
  extract(incoming: IncomingTrace): Context
  /** Calls `run` once, within the context: middleware and handler, and the `deadLettered` event of what cannot be decoded. */
  run<Result>(context: Context, run: () => Result): Result
  /**
   * The `traceparent` of the attempt that has just failed, for its retry and its replay to link to; called within the attempt's
   * context. It travels with the copy, and comes back to `extract`.
   */
  failedIn?(): string | undefined
}

export const propagationSchema = lazily(() =>
  z.custom<Propagation>(
    (value) => hasFunctions(value, ['inject', 'extract', 'run']),
    'expected a propagation: an object with inject, extract and run',
  ),
)

/** Runs once within the delivery's context, or outside of it if that cannot be had. */
export function withinContext<Result>(
  propagation: Propagation | undefined,
  delivery: DeliveryInHand,
  run: () => Result,
  onError: (error: unknown) => void,
): Result {
  if (propagation === undefined) return run()
  let result: { readonly value: Result } | undefined
  const once = () => {
    result ??= { value: run() }
    return result.value
  }
  try {
    propagation.run(propagation.extract(incoming(delivery)), once)
  } catch (error) {
    onError(error)
  }
  return once()
}

function incoming(inHand: DeliveryInHand): IncomingTrace {
  const { topic, group, attempt, failedIn } = inHand
  const { message } = inHand.info
  const { headers } = inHand.delivery
  const { traceparent = headers.traceparent, tracestate = headers.tracestate } =
    message?.metadata ?? attributesIn(headers)
  return { topic, group, attempt, headers, message, failedIn, traceparent, tracestate }
}
