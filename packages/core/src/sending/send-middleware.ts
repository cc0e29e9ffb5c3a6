import { MessagingError, toError } from '../lib/errors.ts'
import type { MessageDefinition } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import type { SendOptions } from './send-options.ts'

/** What send middleware sees. To change data or options, replace them before calling `next`. */
export interface SendContext {
  readonly definition: MessageDefinition
  /** The message whose handler, or pull loop, sends it. */
  readonly cause: Message | undefined
  data: unknown
  options: SendOptions
  /** The message as it was sent; undefined before `next` has resolved. */
  message: Message | undefined
}

/**
 * Wraps a send. It calls `next` once to continue, and awaits it to see how the send went. If it does not call `next`,
 * nothing is sent, and `send` rejects with `aborted`.
 *
 * ```ts
 * bus.use({
 *   send: async (context, next) => {
 *     context.options = { ...context.options, metadata: { tenant: currentTenant() } }
 *     await next()
 *   },
 * })
 * ```
 */
export type SendMiddleware = (context: SendContext, next: () => Promise<void>) => Promise<void>

/**
 * Sends through the middleware, the first outermost. The caller learns what happened to the message whatever the middleware
 * does: not awaiting `next`, catching its error or throwing after it makes no difference.
 */
export async function sendThrough<Output>(
  middleware: readonly SendMiddleware[],
  context: SendContext,
  deliver: () => Promise<Message<Output>>,
): Promise<Message<Output>> {
  let delivery: Promise<Message<Output>> | undefined
  let innerError: unknown
  let isOver = false

  const enter = async (index: number): Promise<void> => {
    const current = middleware[index]
    if (current === undefined) {
      delivery = deliver()
      context.message = await delivery
      return
    }
    let inner: Promise<void> | undefined
    const next = () => {
      if (isOver) return refuse('called next() after it had ended')
      if (inner !== undefined) return refuse('called next() more than once')
      inner = enter(index + 1)
      // Not every middleware awaits it.
      inner.catch((error: unknown) => {
        innerError = error
      })
      return inner
    }
    try {
      await current(context, next)
    } finally {
      await inner?.catch(() => {})
    }
  }

  let thrown: { readonly error: unknown } | undefined
  try {
    await enter(0)
  } catch (error) {
    thrown = { error }
  }
  isOver = true
  const { type } = context.definition
  if (delivery === undefined) {
    if (thrown !== undefined) throw thrown.error
    if (innerError !== undefined) throw innerError
    const why = `A middleware ended the send of ${type} without calling next`
    throw new MessagingError('aborted', why, { fate: 'not-sent' })
  }
  if (thrown === undefined) return await delivery
  throw afterDelivery(thrown.error, await failureOf(delivery), type)
}

async function failureOf(delivery: Promise<Message>): Promise<{ readonly error: unknown } | undefined> {
  try {
    await delivery
    return undefined
  } catch (error) {
    return { error }
  }
}

/** The error for a sender whose middleware threw after it had called `next`. */
function afterDelivery(
  thrown: unknown,
  failure: { readonly error: unknown } | undefined,
  type: string,
): unknown {
  if (failure === undefined) {
    const what = `Message ${type} was sent, but a middleware threw afterwards: ${toError(thrown).message}`
    return new MessagingError('failed', what, { cause: thrown, fate: 'unknown' })
  }
  // The middleware may have an error of its own for it, but not one that promises more than is known.
  const promises = MessagingError.is(thrown) && thrown.fate === 'not-sent'
  const isCertain = MessagingError.is(failure.error) && failure.error.fate === 'not-sent'
  return promises && !isCertain ? failure.error : thrown
}

function refuse(what: string): Promise<void> {
  const refused = Promise.reject<void>(new Error(`A middleware ${what}`))
  refused.catch(() => {})
  return refused
}
