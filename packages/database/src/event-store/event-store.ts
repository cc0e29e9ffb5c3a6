import { randomUUID } from 'node:crypto'
import { ConfigurationError, type MessageDefinition, MessagingError } from '@waybill/core'
import { parseOptions } from '@waybill/core/driver'
import type { LaterOptions } from '@waybill/core/outbox'
import { z } from 'zod'
import type { Database } from '../database.ts'
import type { Transaction } from '../transaction.ts'
import { checkEvents, readBy } from './event-data.ts'
import { beginning, type EventPosition, formatPosition, parsePosition } from './event-position.ts'
import type { EventOf, NewEvent, StoredEvent } from './stored-event.ts'
import { StreamConflict } from './stream-conflict.ts'

/** What an event store needs of an outbox. */
export interface EventOutbox {
  sendAll(
    transaction: Transaction,
    messages: readonly {
      readonly definition: MessageDefinition
      readonly data: unknown
      readonly options: LaterOptions
    }[],
  ): Promise<unknown>
}

export interface EventStoreOptions {
  /** Every event that is appended is published through it, with the same id. Default: none is. */
  readonly outbox?: EventOutbox
}

export interface AppendOptions {
  /** The version that the stream must have: 0 for one that must not exist. Default: any. */
  readonly expected?: number
  /** Text kept beside each event, and published with it. Default: none. */
  readonly metadata?: Readonly<Record<string, string>>
  /** False for events that nobody else should hear of. Default: true, if the store has an outbox. */
  readonly publish?: boolean
}

export interface Appended {
  /** The stream's version after it. */
  readonly version: number
  /** The ids of the events, in their order. */
  readonly ids: readonly string[]
}

export interface ReadStreamOptions {
  /** The first version that is read. Default: 1. */
  readonly from?: number
}

export interface ReadAllOptions {
  /** Only what comes after this position. Default: from the first event. */
  readonly after?: string
  /** 1 to 10,000. Default: 1000. */
  readonly limit?: number
}

interface Raised {
  readonly version: number
  readonly transaction_text: string
}

interface EventRow {
  readonly id: string
  readonly type: string
  readonly version: number
  readonly data: string
  readonly metadata: string
  readonly stream: string
  readonly stream_version: number
  readonly epoch: number
  readonly transaction_text: string
  readonly position_text: string
  readonly recorded_ms: number | string
}

const streamSchema = z.string().min(1).max(500)

const appendSchema = z.strictObject({
  stream: streamSchema,
  expected: z.int().min(0).optional(),
  metadata: z.record(z.string(), z.string()).default({}),
  publish: z.boolean().default(true),
})

const readStreamSchema = z.strictObject({ stream: streamSchema, from: z.int().min(1).default(1) })

const readAllSchema = z.strictObject({
  after: z.string().optional(),
  limit: z.int().min(1).max(10_000).default(1000),
})

const metadataSchema = z.record(z.string(), z.string())

/** What each event has of its own in the statement that inserts them. */
const eventColumns = [
  { name: 'stream_version', type: 'integer' },
  { name: 'id', type: 'text' },
  { name: 'type', type: 'text' },
  { name: 'version', type: 'integer' },
  { name: 'data', type: 'text' },
] as const

/**
 * Streams of events in the database. Events are message definitions with their data.
 *
 * ```ts
 * const events = new EventStore(database, { outbox })
 * await database.transaction((transaction) =>
 *   events.append(transaction, `order-${orderId}`, [eventOf(OrderPlaced, { orderId, total })], { expected: 0 }),
 * )
 * ```
 *
 * All events have one order, in which `readAll` and projections read them: that of the transactions' beginnings. An event is
 * read when every transaction that might still commit one before it has ended, so that none is ever skipped.
 */
export class EventStore {
  readonly database: Database
  readonly #outbox: EventOutbox | undefined

  constructor(database: Database, options: EventStoreOptions = {}) {
    this.database = database
    this.#outbox = options.outbox
  }

  /**
   * Appends events to a stream, all or none, and publishes them, in the caller's transaction. Appends to one stream wait for
   * each other.
   *
   * ```ts
   * const { version } = await events.append(transaction, 'order-1', [eventOf(OrderPaid, { receipt })], { expected: 3 })
   * ```
   *
   * @throws {StreamConflict} when the stream is not at the expected version.
   * @throws {InvalidMessageError} when data does not fit its schema.
   * @throws {ConfigurationError} when the stream or the options are wrong, or there are no events.
   */
  async append(
    transaction: Transaction,
    stream: string,
    events: readonly NewEvent[],
    options: AppendOptions = {},
  ): Promise<Appended> {
    const { expected, metadata, publish } = parseOptions(
      appendSchema,
      { ...options, stream },
      `append to stream ${JSON.stringify(stream)}`,
    )
    if (events.length === 0) {
      throw new ConfigurationError('append', [{ path: 'events', message: 'expected at least one event' }])
    }
    await checkEvents(stream, events)
    const { version, transaction_text } = await this.#raise(transaction, stream, events.length, expected)
    const stored = events.map(({ id, ...event }, index) => ({
      ...event,
      id: id ?? randomUUID(),
      streamVersion: version - events.length + index + 1,
    }))
    const epoch = `(SELECT max(epoch) FROM ${this.#table('event_epochs')})`
    const { dialect } = this.database
    await transaction.query(
      `INSERT INTO ${this.#table('events')}
(epoch, transaction_id, stream, metadata, stream_version, id, type, version, data)
SELECT ${epoch}, CAST($1 AS ${dialect.transactions.type}), $2, $3, ${eventColumns.map(({ name }) => `incoming."${name}"`).join(', ')}
FROM ${dialect.rows(4, eventColumns)} ORDER BY incoming.n`,
      [
        transaction_text,
        stream,
        JSON.stringify(metadata),
        ...dialect.rowParameters([
          stored.map(({ streamVersion }) => streamVersion),
          stored.map(({ id }) => id),
          stored.map(({ definition }) => definition.type),
          stored.map(({ definition }) => definition.version),
          stored.map(({ data }) => JSON.stringify(data)),
        ]),
      ],
    )
    if (publish && this.#outbox !== undefined)
      await this.#outbox.sendAll(
        transaction,
        stored.map(({ definition, data, id }) => ({ definition, data, options: { id, metadata } })),
      )
    return { version, ids: stored.map(({ id }) => id) }
  }

  /**
   * The events of a stream, in their order, by their definitions; empty if there is no such stream.
   *
   * ```ts
   * const history = await events.readStream(transaction, 'order-1', [OrderPlaced, OrderPaid])
   * ```
   *
   * @throws {MessagingError} when the stream has an event of another type, or of a version that its definition does not know.
   */
  async readStream<const Definitions extends readonly MessageDefinition[]>(
    transaction: Transaction,
    stream: string,
    definitions: Definitions,
    options?: ReadStreamOptions,
  ): Promise<readonly EventOf<Definitions[number]>[]>
  async readStream(
    transaction: Transaction,
    stream: string,
    definitions: readonly MessageDefinition[],
    options: ReadStreamOptions = {},
  ): Promise<readonly StoredEvent[]> {
    const { from } = parseOptions(readStreamSchema, { ...options, stream }, 'options of readStream')
    const rows = await transaction.query<EventRow>(
      `SELECT ${this.#columns} FROM ${this.#table('events')}
WHERE stream = $1 AND stream_version >= $2 ORDER BY stream_version`,
      [stream, from],
    )
    const byType = new Map(definitions.map((definition) => [definition.type, definition]))
    return await Promise.all(
      rows.map(toEvent).map((event) => {
        const definition = byType.get(event.type)
        if (definition !== undefined) return readBy(definition, event)
        const what = `Stream "${stream}" has an event ${event.type}, which is not among the definitions`
        throw new MessagingError('failed', `${what} that it was read by`)
      }),
    )
  }

  /**
   * Events of all streams, in the order of all, as far as no transaction that is running can still add to them. Their data is
   * as it was appended. On PostgreSQL a transaction that has written and does not end, in any database of the server, keeps
   * later events from being read.
   *
   * ```ts
   * const page = await events.readAll(database, { after: page.at(-1)?.position })
   * ```
   *
   * @throws {ConfigurationError} when the position or the options are wrong.
   * @throws {MessagingError} `topology-mismatch` when the events came from another server; see `beginEpoch`.
   */
  async readAll(transaction: Transaction, options: ReadAllOptions = {}): Promise<readonly StoredEvent[]> {
    const { after, limit } = parseOptions(readAllSchema, options, 'options of readAll')
    return await this.readAfter(transaction, after === undefined ? beginning : parsePosition(after), limit)
  }

  /** @internal For projections. */
  async readAfter(
    transaction: Transaction,
    { epoch, transaction: number, position }: EventPosition,
    limit: number,
  ): Promise<readonly StoredEvent[]> {
    const { type, oldestRunning } = this.database.dialect.transactions
    const current = `(SELECT max(epoch) FROM ${this.#table('event_epochs')})`
    const rows = await transaction.query<EventRow>(
      `SELECT ${this.#columns} FROM ${this.#table('events')}
WHERE (epoch, transaction_id, position) > (CAST($1 AS integer), CAST($2 AS ${type}), CAST($3 AS bigint))
AND (epoch, transaction_id) < (${current}, ${oldestRunning})
ORDER BY epoch, transaction_id, position LIMIT $4`,
      [epoch, number, position, limit],
    )
    if (rows.length === 0) await this.#requireOwnNumbers(transaction, current)
    return rows.map(toEvent)
  }

  /** @internal For projections. */
  async countAfter(
    transaction: Transaction,
    { epoch, transaction: number, position }: EventPosition,
  ): Promise<{ readonly waiting: number; readonly blocked: number; readonly oldestAgeMs: number }> {
    const { transactions, epochMs, now } = this.database.dialect
    const current = `(SELECT max(epoch) FROM ${this.#table('event_epochs')})`
    const [row] = await transaction.query<Record<'waiting' | 'blocked' | 'age', number | string | null>>(
      `SELECT count(*) AS waiting, max(${epochMs(now)} - ${epochMs('recorded_at')}) AS age,
count(CASE WHEN (epoch, transaction_id) >= (${current}, ${transactions.oldestRunning}) THEN 1 END) AS blocked
FROM ${this.#table('events')}
WHERE (epoch, transaction_id, position) > (CAST($1 AS integer), CAST($2 AS ${transactions.type}), CAST($3 AS bigint))`,
      [epoch, number, position],
    )
    return {
      waiting: Number(row?.waiting ?? 0),
      blocked: Number(row?.blocked ?? 0),
      oldestAgeMs: Math.max(0, Math.round(Number(row?.age ?? 0))),
    }
  }

  /**
   * Call it once after the tables were copied to another PostgreSQL server by a dump, before anybody appends: that server counts
   * transactions anew, so that the order of events has to begin a new epoch. Positions stay as they are.
   *
   * ```ts
   * await events.beginEpoch()
   * ```
   */
  async beginEpoch(): Promise<void> {
    const epochs = this.#table('event_epochs')
    const { type } = this.database.dialect.transactions
    await this.database.transaction(async (transaction) => {
      await transaction.query(`INSERT INTO ${epochs} (epoch) SELECT max(epoch) + 1 FROM ${epochs}`)
      await transaction.query(
        `UPDATE ${this.#table('event_streams')} SET transaction_id = CAST($1 AS ${type})`,
        ['0'],
      )
    })
  }

  /** Numbers that this server has not given yet are another's: such events would be read by nobody until it has. */
  async #requireOwnNumbers(transaction: Transaction, current: string): Promise<void> {
    const foreign = await transaction.query(
      `SELECT id FROM ${this.#table('events')}
WHERE epoch = ${current} AND transaction_id >= ${this.database.dialect.transactions.next} LIMIT 1`,
    )
    if (foreign.length === 0) return
    const what = `The events in ${this.database.dialect.place} were copied from a server that had come further`
    throw new MessagingError('topology-mismatch', `${what}. Call beginEpoch() of the event store once`)
  }

  /**
   * The stream's version after so many events more, and the number by which they are ordered. It locks the stream.
   *
   * The number is that of the transaction, or of the stream's last event if that is higher: a transaction that began first may
   * append last, and events of one stream must keep their order among all. An event's number is never lower than its
   * transaction's, so what is below the oldest running transaction is complete all the same.
   */
  async #raise(
    transaction: Transaction,
    stream: string,
    by: number,
    expected: number | undefined,
  ): Promise<Raised> {
    const streams = this.#table('event_streams')
    const { current } = this.database.dialect.transactions
    const raise = `SET version = known.version + $2,
transaction_id = CASE WHEN known.transaction_id > ${current} THEN known.transaction_id ELSE ${current} END`
    const insert = `INSERT INTO ${streams} AS known (stream, version, transaction_id) VALUES ($1, $2, ${current}) ON CONFLICT (stream)`
    const returning = 'RETURNING version, CAST(transaction_id AS text) AS transaction_text'
    const statement =
      expected === undefined
        ? `${insert} DO UPDATE ${raise} ${returning}`
        : expected === 0
          ? `${insert} DO NOTHING ${returning}`
          : `UPDATE ${streams} AS known ${raise} WHERE stream = $1 AND version = $3 ${returning}`
    const parameters = [stream, by, ...(expected === undefined || expected === 0 ? [] : [expected])]
    const [raised] = await transaction.query<Raised>(statement, parameters)
    if (raised !== undefined) return raised
    const [found] = await transaction.query<{ version: number }>(
      `SELECT version FROM ${streams} WHERE stream = $1`,
      [stream],
    )
    throw new StreamConflict(stream, expected ?? 0, found?.version ?? 0)
  }

  #table(name: string): string {
    return this.database.dialect.table(name)
  }

  get #columns(): string {
    const recorded = this.database.dialect.epochMs('recorded_at')
    return `id, type, version, data, metadata, stream, stream_version, epoch,
CAST(transaction_id AS text) AS transaction_text, CAST(position AS text) AS position_text, ${recorded} AS recorded_ms`
  }
}

function toEvent(row: EventRow): StoredEvent {
  const data: unknown = JSON.parse(row.data)
  return {
    id: row.id,
    type: row.type,
    version: row.version,
    data,
    stream: row.stream,
    streamVersion: row.stream_version,
    position: formatPosition({
      epoch: row.epoch,
      transaction: row.transaction_text,
      position: row.position_text,
    }),
    recordedAt: new Date(Number(row.recorded_ms)),
    metadata: metadataSchema.parse(JSON.parse(row.metadata)),
  }
}
