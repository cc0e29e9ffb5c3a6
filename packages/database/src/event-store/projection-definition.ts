import { ConfigurationError, type Issue, type MessageDefinition } from '@waybill/core'
import type { Transaction } from '../transaction.ts'
import type { StoredEvent } from './stored-event.ts'

/** What a projection does with one type of event. Made by `when`. */
export interface ProjectionHandler {
  readonly definition: MessageDefinition
  // A method, so that one for a certain event fits where any will do: events are read by its own definition.
  handle(event: StoredEvent, transaction: Transaction): void | Promise<void>
}

export interface ProjectionDefinition {
  readonly name: string
  readonly handlers: readonly ProjectionHandler[]
  readonly reset: ((transaction: Transaction) => Promise<unknown>) | undefined
}

export interface ProjectionOptions {
  /** One for each type of event; other types are passed over. */
  readonly handlers: readonly ProjectionHandler[]
  /** Empties the read model, for `rebuild`. Default: the projection cannot be rebuilt in place. */
  readonly reset?: (transaction: Transaction) => Promise<unknown>
}

/**
 * What a projection does with the events of a definition. Its writes belong into the transaction, with which the projection's
 * position is stored.
 *
 * ```ts
 * when(OrderPaid, ({ data }, transaction) => transaction.query('UPDATE orders SET paid = 1 WHERE id = $1', [data.orderId]))
 * ```
 */
export function when<Input, Output, Type extends string>(
  definition: MessageDefinition<Input, Output, string, Type>,
  handle: (event: StoredEvent<Output, Type>, transaction: Transaction) => unknown,
): ProjectionHandler {
  return {
    definition,
    async handle(event: StoredEvent<Output, Type>, transaction) {
      await handle(event, transaction)
    },
  }
}

/**
 * Defines a read model: how events change it. Under another name it is another projection, which reads from the first event on.
 *
 * ```ts
 * const orderList = defineProjection('order-list', {
 *   handlers: [when(OrderPlaced, ({ data }, transaction) => transaction.query('INSERT INTO order_list …', [data.orderId]))],
 *   reset: (transaction) => transaction.query('DELETE FROM order_list'),
 * })
 * ```
 *
 * @throws {ConfigurationError} listing every problem.
 */
export function defineProjection(name: string, options: ProjectionOptions): ProjectionDefinition {
  const { handlers, reset } = options
  const types = handlers.map(({ definition }) => definition?.type)
  const issues: Issue[] = []
  const problem = (path: string, message: string) => issues.push({ path, message })
  if (typeof name !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name))
    problem('name', 'expected 1 to 100 letters, digits, ".", "_" or "-", starting with a letter or digit')
  if (handlers.length === 0) problem('handlers', 'expected at least one, made by when(…)')
  for (const [index, type] of types.entries()) {
    if (type === undefined)
      problem(
        `handlers.${index}`,
        'expected a message made by defineMessage(); a circle of imports leaves undefined',
      )
    else if (types.indexOf(type) < index) problem(`handlers.${index}`, `${type} has a handler already`)
  }
  if (reset !== undefined && typeof reset !== 'function') problem('reset', 'expected a function')
  if (issues.length > 0) throw new ConfigurationError(`projection ${JSON.stringify(name)}`, issues)
  return { name, handlers, reset }
}
