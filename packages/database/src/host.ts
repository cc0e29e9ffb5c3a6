import { type Clock, MessagingError, systemClock, toMessagingError } from '@waybill/core/driver'
import type { Connection } from './connection.ts'
import type { Dialect } from './dialect.ts'
import { Emitter, type FailureEvents } from './emitter.ts'
import { requireSchema } from './migrations/schema-version.ts'
import { ReadCommitted } from './read-committed.ts'
import type { Queries, Transaction } from './transaction.ts'

/** What inbox, outbox and the others share of their database. */
export class Host implements Queries {
  readonly connection: Connection
  readonly events = new Emitter<FailureEvents>(['failure'])
  readonly clock: Clock = systemClock
  readonly #own: Queries
  readonly #closers = new Set<() => Promise<void>>()
  readonly #wakers = new Set<() => void>()
  readonly #waking = new WeakSet<Transaction>()
  /** How many there have been: what was stored while there was none has to wake those that came before it was committed. */
  #wakersSoFar = 0
  #isReady = false
  #closing: Promise<void> | undefined

  constructor(connection: Connection) {
    this.connection = connection
    this.#own = new ReadCommitted(connection, connection.dialect)
  }

  get dialect(): Dialect {
    return this.connection.dialect
  }

  /** A statement of ours. */
  query<Row>(sql: string, parameters?: readonly unknown[]): Promise<readonly Row[]> {
    return this.#own.query<Row>(sql, parameters)
  }

  async transaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    const wakersBefore = this.#wakersSoFar
    let used: Transaction | undefined
    const result = await this.connection.transaction((transaction) => {
      used = transaction
      return work(transaction)
    })
    if (this.#wakers.size === 0) return result
    const isNew = this.#wakersSoFar !== wakersBefore
    if (isNew || (used !== undefined && this.#waking.has(used))) this.wake()
    return result
  }

  /** Wakes the relays of this process once the transaction has committed, if it is one of ours. */
  wakeAfter(transaction: Transaction): void {
    if (this.#wakers.size > 0) this.#waking.add(transaction)
  }

  wake(): void {
    for (const wake of this.#wakers) wake()
  }

  /** The result takes it back. */
  onWake(wake: () => void): () => void {
    this.#wakers.add(wake)
    this.#wakersSoFar += 1
    return () => this.#wakers.delete(wake)
  }

  /** Whether the schema has been looked at, so that `requireReady` need not be awaited. */
  get isReady(): boolean {
    return this.#isReady
  }

  /** Looks at the schema once, by what the caller may use: a second connection may not be there. */
  async requireReady(transaction: Transaction): Promise<void> {
    if (this.#isReady) return
    await requireSchema(this.dialect, transaction)
    this.#isReady = true
  }

  /** An error of a statement of ours as a `MessagingError`. */
  failed(error: unknown, what: string): MessagingError {
    const known = this.dialect.explain(error)
    if (known !== undefined) {
      const { code, retryable, cause } = known
      return new MessagingError(code, `${what}: ${known.message}`, { retryable, cause })
    }
    return toMessagingError(error, what)
  }

  /** Calls back before the connection is closed; the result takes that back. */
  beforeClose(end: () => Promise<void>): () => void {
    this.#closers.add(end)
    return () => this.#closers.delete(end)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await Promise.allSettled([...this.#closers].map((end) => end()))
    await this.connection.close()
  }
}
