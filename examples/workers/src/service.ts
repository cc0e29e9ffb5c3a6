import type { HandlerContext, Message, MessageDefinition } from '@waybill/core'
import type { Database, Inbox, Transaction } from '@waybill/database'

/** What a service does with one type of message. */
export interface ServiceHandler {
  readonly definition: MessageDefinition
  // A method, so that a handler of a certain message fits where any will do.
  handle(message: Message, context: HandlerContext): Promise<unknown>
}

/** A group, and what its members handle. */
export interface Service {
  readonly group: string
  readonly handlers: readonly ServiceHandler[]
}

/** What handlers work with: their database, and what gives each message one effect in it. */
export interface Effects {
  readonly database: Database
  readonly inbox: Pick<Inbox, 'once'>
  readonly outbox: ReturnType<Database['outbox']>
}

/** A handler of one type of message. */
export function handles<Input, Output, Type extends string>(
  definition: MessageDefinition<Input, Output, string, Type>,
  handle: (message: Message<Output, Type>, context: HandlerContext) => Promise<unknown>,
): ServiceHandler {
  return { definition, handle }
}

/** A handler whose work has its effect once. */
export function handlesOnce<Input, Output, Type extends string>(
  { inbox }: Effects,
  definition: MessageDefinition<Input, Output, string, Type>,
  work: (message: Message<Output, Type>, transaction: Transaction) => Promise<unknown>,
): ServiceHandler {
  return handles(definition, (message, context) =>
    inbox.once(context, (transaction) => work(message, transaction)),
  )
}
