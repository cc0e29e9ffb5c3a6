import { defineMessage, type MessageDefinition, type Topic } from '@waybill/core'
import type { Database, Transaction } from '@waybill/postgres'
import { z } from 'zod'

const entrySchema = z.object({ key: z.string(), n: z.number() })

export type Entry = z.output<typeof entrySchema>

/** A message whose effect is a row of the ledger, and its part of a sum. */
export function entryOf(topic: Topic): MessageDefinition<Entry, Entry> {
  const options = { schema: entrySchema }
  return defineMessage(topic, 'entry.made', topic.ordered ? { ...options, key: ({ key }) => key } : options)
}

const sums = 8

/** Effects in the tables' own schema. Nothing there is unique: what happens twice is there twice. */
export class Ledger {
  readonly #database: Database
  readonly #entries: string
  readonly #sums: string

  constructor(database: Database) {
    this.#database = database
    this.#entries = database.dialect.table('entries')
    this.#sums = database.dialect.table('sums')
  }

  async create(): Promise<void> {
    await this.#database.query(
      `CREATE TABLE ${this.#entries} (at bigint GENERATED ALWAYS AS IDENTITY, key text, n integer)`,
    )
    await this.#database.query(`CREATE TABLE ${this.#sums} (id integer PRIMARY KEY, total bigint)`)
    await this.#database.query(
      `INSERT INTO ${this.#sums} SELECT id, 0 FROM generate_series(0, ${sums - 1}) AS id`,
    )
  }

  async enter(transaction: Transaction, { key, n }: Entry): Promise<void> {
    await transaction.query(`INSERT INTO ${this.#entries} (key, n) VALUES ($1, $2)`, [key, n])
    // Spread, so that effects seldom wait for each other.
    const sum = [...key].reduce((total, letter) => total + letter.charCodeAt(0), n) % sums
    await transaction.query(`UPDATE ${this.#sums} SET total = total + $1 WHERE id = $2`, [n, sum])
  }

  async count(): Promise<number> {
    const [row] = await this.#database.query<{ count: string }>(
      `SELECT count(*) AS count FROM ${this.#entries}`,
    )
    return Number(row?.count)
  }

  async total(): Promise<number> {
    const [row] = await this.#database.query<{ total: string }>(
      `SELECT sum(total) AS total FROM ${this.#sums}`,
    )
    return Number(row?.total)
  }

  /** In the order in which they took effect. */
  async entries(): Promise<readonly Entry[]> {
    const rows = await this.#database.query(`SELECT key, n FROM ${this.#entries} ORDER BY at`)
    return z.array(entrySchema).parse(rows)
  }
}
