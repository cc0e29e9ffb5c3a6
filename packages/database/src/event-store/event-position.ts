import { ConfigurationError } from '@waybill/core'

/** A place in the order of all events. Transactions are 64-bit numbers, as text. */
export interface EventPosition {
  readonly epoch: number
  readonly transaction: string
  readonly position: string
}

/** Before the first event. */
export const beginning: EventPosition = { epoch: 0, transaction: '0', position: '0' }

const form = /^(?<epoch>\d{1,9})\.(?<transaction>\d{1,20})\.(?<position>\d{1,19})$/

export function formatPosition({ epoch, transaction, position }: EventPosition): string {
  return `${epoch}.${transaction}.${position}`
}

/**
 * A position as `formatPosition` wrote it.
 *
 * @throws {ConfigurationError} when it is none.
 */
export function parsePosition(text: string): EventPosition {
  const groups = form.exec(text)?.groups
  if (groups === undefined) {
    const message = `expected a position of an event, not ${JSON.stringify(text)}`
    throw new ConfigurationError('position', [{ path: 'after', message }])
  }
  const { epoch = '', transaction = '', position = '' } = groups
  return { epoch: Number(epoch), transaction, position }
}
