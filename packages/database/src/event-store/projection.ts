import { type Duration, MessagingError, parseOptions, toMessagingError } from '@waybill/core/driver'
import { durationOption } from '@waybill/core/driver-kit'
import { z } from 'zod'
import type { Transaction } from '../transaction.ts'
import { readBy } from './event-data.ts'
import { beginning, type EventPosition, parsePosition } from './event-position.ts'
import type { EventStore } from './event-store.ts'
import type { ProjectionDefinition, ProjectionHandler } from './projection-definition.ts'

export interface ProjectionRunOptions {
  /** How many events are read at once, and stored with one transaction; 1 to 10,000. Default: 500. */
  readonly batch?: number
  /** How long to wait before looking for events again when there were none. Default: `200ms`. */
  readonly poll?: Duration
  /** How long to wait after a failure. Default: `5s`. */
  readonly retryAfter?: Duration
}

export interface ProjectionHealth {
  readonly state: 'stopped' | 'running' | 'failing'
  /** Why it does not go on. It tries again every `retryAfter`. */
  readonly error: MessagingError | undefined
}

export interface ProjectionStats {
  /** Events that were not applied yet, those of types without a handler included. */
  readonly waiting: number
  /** Those of them that cannot be read yet, because a transaction that began before them is still open. */
  readonly blocked: number
  /** How long the oldest of them waits, in milliseconds; 0 if none does. */
  readonly oldestAgeMs: number
}

const runSchema = z.strictObject({
  batch: z.int().min(1).max(10_000).default(500),
  poll: durationOption({ min: 1 }).default(200),
  retryAfter: durationOption({ min: 1 }).default(5000),
})

interface PositionRow {
  readonly epoch: number
  readonly transaction_text: string
  readonly position_text: string
}

const positionColumns =
  'epoch, CAST(transaction_id AS text) AS transaction_text, CAST(position AS text) AS position_text'

/**
 * Keeps a read model up to date. Each batch is one transaction, with the position in it: whatever dies, no event is left out and
 * none applied twice. Processes that run the same projection take turns.
 *
 * ```ts
 * const projection = new Projection(events, orderList)
 * projection.start()
 * await projection.stop()
 * ```
 */
export class Projection {
  readonly name: string
  readonly #store: EventStore
  readonly #definition: ProjectionDefinition
  readonly #handlers: ReadonlyMap<string, ProjectionHandler>
  readonly #options: z.output<typeof runSchema>
  #running: { readonly over: AbortController; readonly ended: Promise<void> } | undefined
  #error: MessagingError | undefined

  constructor(store: EventStore, definition: ProjectionDefinition, options: ProjectionRunOptions = {}) {
    this.name = definition.name
    this.#store = store
    this.#definition = definition
    this.#handlers = new Map(definition.handlers.map((handler) => [handler.definition.type, handler]))
    this.#options = parseOptions(runSchema, options, `options of projection "${definition.name}"`)
  }

  /**
   * Applies all events that can be read now, and resolves with how many they were, those of other types included. For tests,
   * and for a read model that must be current.
   *
   * ```ts
   * await projection.catchUp()
   * ```
   *
   * @throws what a handler throws; its batch is undone.
   */
  async catchUp(): Promise<number> {
    let total = 0
    for (;;) {
      const count = await this.#applyBatch()
      total += count
      if (count < this.#options.batch) return total
    }
  }

  /**
   * Applies events as they come, until `stop`. A failure is tried again, and shows in `health()` meanwhile.
   *
   * ```ts
   * projection.start()
   * ```
   *
   * @throws {MessagingError} `rejected` when it is running.
   */
  start(): void {
    if (this.#running !== undefined)
      throw new MessagingError('rejected', `Projection "${this.name}" is running already`)
    const over = new AbortController()
    this.#running = { over, ended: this.#run(over.signal) }
  }

  /**
   * Resolves when the batch in hand is stored or undone. It can be started again.
   *
   * ```ts
   * await projection.stop()
   * ```
   */
  async stop(): Promise<void> {
    this.#running?.over.abort()
    await this.#running?.ended
    this.#running = undefined
    this.#error = undefined
  }

  /**
   * Whether it goes on, and if not, why.
   *
   * ```ts
   * const { state, error } = projection.health()
   * ```
   */
  health(): ProjectionHealth {
    if (this.#running === undefined) return { state: 'stopped', error: undefined }
    return { state: this.#error === undefined ? 'running' : 'failing', error: this.#error }
  }

  /**
   * How far it is behind. It counts the events: ask it in seconds, not in milliseconds.
   *
   * ```ts
   * const { waiting, blocked, oldestAgeMs } = await projection.stats()
   * ```
   *
   * @throws {MessagingError} when the database cannot do it.
   */
  async stats(): Promise<ProjectionStats> {
    const { database } = this.#store
    return await this.#store.countAfter(database, await this.#position(database))
  }

  /**
   * Empties the read model and lets it begin at the first event again, in one transaction. Readers find it empty at first, and
   * growing while it catches up; to replace one unseen, fill another under a new name beside it. Writes go on meanwhile.
   *
   * ```ts
   * await projection.rebuild()
   * await projection.catchUp()
   * ```
   *
   * @throws {MessagingError} `unsupported` when the definition has no `reset`.
   */
  async rebuild(): Promise<void> {
    const { reset } = this.#definition
    if (reset === undefined) {
      const what = `Projection "${this.name}" cannot be rebuilt in place`
      throw new MessagingError('unsupported', `${what}: give its definition a reset`)
    }
    await this.#store.database.transaction(async (transaction) => {
      await this.#takePosition(transaction)
      await reset(transaction)
      await this.#storePosition(transaction, beginning)
    })
  }

  async #run(over: AbortSignal): Promise<void> {
    const { batch, poll, retryAfter } = this.#options
    while (!over.aborted) {
      let pauseMs = 0
      try {
        pauseMs = (await this.#applyBatch()) < batch ? poll : 0
        this.#error = undefined
      } catch (error) {
        this.#error = toMessagingError(error, `Projection "${this.name}" failed`)
        pauseMs = retryAfter
      }
      await pause(pauseMs, over)
    }
  }

  async #applyBatch(): Promise<number> {
    // While there is nothing to do, nothing is written and nobody has to wait.
    if (!(await this.#hasEvents())) return 0
    return await this.#store.database.transaction(async (transaction) => {
      const position = await this.#takePosition(transaction)
      const events = await this.#store.readAfter(transaction, position, this.#options.batch)
      for (const event of events) {
        const handler = this.#handlers.get(event.type)
        if (handler !== undefined) await handler.handle(await readBy(handler.definition, event), transaction)
      }
      const last = events.at(-1)
      if (last !== undefined) await this.#storePosition(transaction, parsePosition(last.position))
      return events.length
    })
  }

  async #hasEvents(): Promise<boolean> {
    const { database } = this.#store
    return (await this.#store.readAfter(database, await this.#position(database), 1)).length > 0
  }

  async #position(transaction: Transaction): Promise<EventPosition> {
    const rows = await transaction.query<PositionRow>(
      `SELECT ${positionColumns} FROM ${this.#table} WHERE projection = $1`,
      [this.name],
    )
    return toPosition(rows.at(0))
  }

  /** Where the projection is. Whoever asks next waits until this transaction ends. */
  async #takePosition(transaction: Transaction): Promise<EventPosition> {
    const { type } = this.#store.database.dialect.transactions
    const rows = await transaction.query<PositionRow>(
      `INSERT INTO ${this.#table} AS known (projection, epoch, transaction_id, position)
VALUES ($1, 0, CAST($2 AS ${type}), 0) ON CONFLICT (projection) DO UPDATE SET epoch = known.epoch
RETURNING ${positionColumns}`,
      [this.name, '0'],
    )
    return toPosition(rows.at(0))
  }

  async #storePosition(transaction: Transaction, position: EventPosition): Promise<void> {
    const { transactions, now } = this.#store.database.dialect
    await transaction.query(
      `UPDATE ${this.#table} SET epoch = $2, transaction_id = CAST($3 AS ${transactions.type}),
position = CAST($4 AS bigint), updated_at = ${now} WHERE projection = $1`,
      [this.name, position.epoch, position.transaction, position.position],
    )
  }

  get #table(): string {
    return this.#store.database.dialect.table('projections')
  }
}

function toPosition(row: PositionRow | undefined): EventPosition {
  if (row === undefined) return beginning
  return { epoch: row.epoch, transaction: row.transaction_text, position: row.position_text }
}

/** Never rejects; ends early when the signal fires. */
function pause(ms: number, over: AbortSignal): Promise<void> {
  if (ms === 0 || over.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      over.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    over.addEventListener('abort', end)
  })
}
