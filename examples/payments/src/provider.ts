import type { Database } from '@waybill/database'
import type { Payment } from './messages.ts'

export type Answer = { readonly receipt: string } | { readonly declined: string }

/** The provider did not answer. Whether it has charged, nobody knows. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer'
}

/**
 * Stands in for a payment provider: a service of somebody else, with a database of its own. Like a real one it takes a key with
 * each request, charges once for it, and gives the same answer again. Some of its answers do not arrive.
 */
export class Provider {
  readonly #database: Database
  /** While it is down no request reaches it. */
  isDown = false

  constructor(database: Database) {
    this.#database = database
  }

  async open(): Promise<void> {
    await this.#database.query(
      'CREATE TABLE charges (key text PRIMARY KEY, customer text NOT NULL, cents integer NOT NULL, requests integer NOT NULL)',
    )
  }

  /** @throws {NoAnswer} when the request did not reach it, or its answer was lost. */
  async charge(key: string, { customer, cents, card }: Payment): Promise<Answer> {
    if (this.isDown) throw new NoAnswer('the provider cannot be reached')
    if (card === 'declined') return { declined: 'insufficient funds' }
    const [charge] = await this.#database.query<{ readonly requests: number }>(
      `INSERT INTO charges AS known (key, customer, cents, requests) VALUES ($1, $2, $3, 1)
ON CONFLICT (key) DO UPDATE SET requests = known.requests + 1 RETURNING requests`,
      [key, customer, cents],
    )
    if (card === 'slow' && charge?.requests === 1) throw new NoAnswer('the provider took too long')
    return { receipt: `R-${key}` }
  }

  /** What it has taken from customers, in cents. */
  async charged(): Promise<number> {
    const [sum] = await this.#database.query<{ readonly cents: number | null }>(
      'SELECT sum(cents) AS cents FROM charges',
    )
    return Number(sum?.cents ?? 0)
  }
}
