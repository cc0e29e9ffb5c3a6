import {
  type Bus,
  ConfigurationError,
  type Message,
  type MessageDefinition,
  type Propagation,
} from '@waybill/core'
import { parseOptions } from '@waybill/core/driver'
import { checkForLater, type LaterOptions, type Outgoing } from '@waybill/core/outbox'
import { z } from 'zod'
import type { Host } from './host.ts'
import { Definitions } from './outbox/definitions.ts'
import { Inserts } from './outbox/insert.ts'
import { KeyPlaces } from './outbox/key-places.ts'
import {
  discardParked,
  listParked,
  type ParkedMessage,
  type ParkedPage,
  type ParkedSelection,
  retryParked,
} from './outbox/parked.ts'
import { rowOf } from './outbox/row.ts'
import { type OutboxStats, outboxStats } from './outbox/stats.ts'
import { Relay } from './relay/relay.ts'
import type { RelayOptions } from './relay/relay-options.ts'
import type { Transaction } from './transaction.ts'

export interface OutboxOptions {
  /** Who sends: the CloudEvents `source` of each message, a URI reference. Default: `waybill`. */
  readonly source?: string
  /**
   * Of the messages that a relay of this outbox may find. Needed for those whose definition or topic has a codec or stages of
   * its own; others travel without. What this process stores itself is known. Default: none.
   */
  readonly definitions?: readonly MessageDefinition[]
  /** Carries the caller's context, as that of `connect`. Default: the trace of the message being handled. */
  readonly propagation?: Propagation
}

/** A message of `sendAll`. */
export interface OutboxMessage<Definition extends MessageDefinition = MessageDefinition> {
  readonly definition: Definition
  readonly data: DataIn<Definition>
  readonly options?: LaterOptions
}

/** What `send` takes as a definition's data. */
type DataIn<Definition> =
  Definition extends MessageDefinition<infer Input, never>
    ? Input
    : Definition extends MessageDefinition<infer Input>
      ? Input
      : never

const sourcePattern = /^(?:[\w\-.~:/?#[\]@!$&'()*+,;=]|%[0-9a-f]{2})+$/i

const optionsSchema = z.strictObject({
  source: z
    .string()
    .regex(sourcePattern, 'expected a URI reference without spaces, such as "checkout"')
    .default('waybill'),
  definitions: z.array(z.custom<MessageDefinition>()).default([]),
  propagation: z
    .custom<Propagation>((value) => typeof value === 'object' && value !== null && 'inject' in value, {
      error: 'expected a propagation with inject',
    })
    .optional(),
})

const position = /^\d{1,15}$/

const selectionSchema = z.custom<ParkedSelection>(
  (value) =>
    value === 'all' ||
    (Array.isArray(value) && value.every((each) => typeof each === 'string' && position.test(each))),
  'expected "all", or an array of positions of parked messages',
)

const pageSchema = z.strictObject({
  limit: z.int().min(1).max(1000).default(100),
  after: z.string().regex(position, 'expected the position of a parked message').default('0'),
})

/**
 * Keeps messages in the database, in the transaction of the change that they tell of: both are there, or neither. A relay
 * sends them to a broker. Made by `database.outbox()`.
 */
export class Outbox {
  readonly #host: Host
  readonly #options: z.output<typeof optionsSchema>
  readonly #inserts: Inserts
  readonly #places: KeyPlaces
  readonly #definitions: Definitions

  /** @internal Made by `database.outbox()`; the parameters may change in any version. */
  constructor(host: Host, options: OutboxOptions = {}) {
    this.#options = parseOptions(optionsSchema, options, 'outbox options')
    this.#host = host
    this.#inserts = new Inserts(host.dialect)
    this.#places = new KeyPlaces(host.dialect.namespace)
    this.#definitions = new Definitions(this.#options.definitions)
  }

  /**
   * Checks a message as `producer.send` does, and stores it in the transaction. Resolves with the message; it is sent once the
   * transaction has committed. Messages of one key on an ordered topic are sent in the order in which their transactions commit:
   * from here to its end the transaction holds the key, and others that store messages of it wait.
   *
   * @example
   * await database.transaction(async (transaction) => {
   *   await transaction.query('INSERT INTO orders (id, total) VALUES ($1, $2)', [order.id, order.total])
   *   await outbox.send(transaction, OrderPlaced, order)
   * })
   *
   * @throws {InvalidMessageError} listing every problem of data and options; nothing was stored.
   * @throws {MessagingError} when the database cannot do it.
   */
  async send<Input, Output, Type extends string>(
    transaction: Transaction,
    definition: MessageDefinition<Input, Output, string, Type>,
    data: NoInfer<Input>,
    options?: LaterOptions,
  ): Promise<Message<Output, Type>>
  async send(
    transaction: Transaction,
    definition: MessageDefinition,
    data: unknown,
    options?: LaterOptions,
  ): Promise<Message | undefined> {
    const [message] = await this.#store(transaction, [{ definition, data, options }])
    return message
  }

  /**
   * Stores many messages in one round trip, of any definitions. All are checked before any is stored. They are sent in their order,
   * as far as they have the same key.
   *
   * @example
   * await outbox.sendAll(transaction, [
   *   { definition: OrderPlaced, data: order },
   *   { definition: StockReserved, data: { sku: 's-1' }, options: { delay: '5s' } },
   * ])
   *
   * @throws {InvalidMessageError} listing every problem, each path beginning with the item's index; nothing was stored.
   * @throws {MessagingError} when the database cannot do it.
   */
  async sendAll<const Definitions extends readonly MessageDefinition[]>(
    transaction: Transaction,
    messages: { readonly [Index in keyof Definitions]: OutboxMessage<Definitions[Index]> },
  ): Promise<readonly Message[]> {
    if (!Array.isArray(messages)) {
      const message = `expected an array of { definition, data }, not ${typeof messages}`
      throw new ConfigurationError('sendAll', [{ path: 'messages', message }])
    }
    const outgoing: readonly Outgoing[] = messages
    return outgoing.length === 0 ? [] : await this.#store(transaction, outgoing)
  }

  /**
   * A relay, which sends what is in the outbox over a bus once it is started. Any number may run, in any processes.
   *
   * @example
   * const relay = outbox.relay(bus)
   * await relay.start()
   *
   * @throws {ConfigurationError} with every problem of the options.
   */
  relay(bus: Bus, options?: RelayOptions): Relay {
    return new Relay(this.#host, this.#definitions, bus, options)
  }

  /** How much is in the outbox. It counts the rows: ask it in seconds, not in milliseconds. */
  async stats(): Promise<OutboxStats> {
    return await this.#asked('Counting the outbox', () => outboxStats(this.#host.dialect, this.#host))
  }

  /**
   * Messages that the broker refused for good, oldest first.
   *
   * @example
   * for (const { position, type, error } of await outbox.parked()) console.log(position, type, error)
   */
  async parked(page: ParkedPage = {}): Promise<readonly ParkedMessage[]> {
    const parsed = parseOptions(pageSchema, page, 'page of parked messages')
    return await this.#asked('Listing parked messages', () => listParked(this.#host, parsed))
  }

  /** Lets relays send them again, each with the same id. Resolves with how many there were. */
  async retryParked(selection: ParkedSelection): Promise<number> {
    const parsed = parseOptions(selectionSchema, selection, 'selection of parked messages')
    return await this.#asked('Retrying parked messages', () => retryParked(this.#host, parsed))
  }

  /** Removes them for good. Resolves with how many there were. */
  async discardParked(selection: ParkedSelection): Promise<number> {
    const parsed = parseOptions(selectionSchema, selection, 'selection of parked messages')
    return await this.#asked('Discarding parked messages', () => discardParked(this.#host, parsed))
  }

  async #store(transaction: Transaction, outgoing: readonly Outgoing[]): Promise<readonly Message[]> {
    const { source, propagation } = this.#options
    const stored = await checkForLater(outgoing, { source, propagation, now: this.#host.clock.now() })
    const rows = stored.map((each) => rowOf(each, this.#places))
    const { sql, parameters } = this.#inserts.of(rows)
    try {
      if (!this.#host.isReady) await this.#host.requireReady(transaction)
      await transaction.query(sql, parameters)
    } catch (error) {
      throw this.#host.failed(error, 'Storing messages in the outbox')
    }
    for (const { definition } of stored) this.#definitions.learn(definition)
    this.#host.wakeAfter(transaction)
    return stored.map(({ message }) => message)
  }

  async #asked<Result>(what: string, run: () => Promise<Result>): Promise<Result> {
    try {
      await this.#host.requireReady(this.#host)
      return await run()
    } catch (error) {
      throw this.#host.failed(error, what)
    }
  }
}
