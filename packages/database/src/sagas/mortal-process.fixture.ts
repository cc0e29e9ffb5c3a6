import { type Adapter, type Driver, MessagingError, type Subscription } from '@waybill/core/driver'
import type { Database } from '../database.ts'
import { makeDatabase } from '../make-database.ts'

/**
 * Stands in for a process that is killed between two instructions. Its steps are what outlives it: a statement that writes, a
 * commit, messages that were sent, deliveries that were settled. Behind the n-th of them it is dead: nothing that it still asks of
 * database or broker is done, a transaction that it was in is rolled back, and its deliveries go back to the broker.
 */
export class MortalProcess {
  readonly #diesAt: number
  readonly #died = Promise.withResolvers<void>()
  readonly #drivers = new Set<Driver>()
  #steps = 0
  #isDead = false

  constructor(diesAt = Number.POSITIVE_INFINITY) {
    this.#diesAt = diesAt
  }

  get isDead(): boolean {
    return this.#isDead
  }

  /** Resolves when it dies. */
  get died(): Promise<void> {
    return this.#died.promise
  }

  /** The database as this process uses it. */
  database(database: Database): Database {
    const { dialect } = database
    const query = <Row>(run: () => Promise<readonly Row[]>, sql: string) =>
      /^\s*(?:INSERT|UPDATE|DELETE|WITH)/.test(sql) ? this.#step(run) : this.#alive(run)
    return makeDatabase({
      dialect,
      query: (sql, parameters) => query(() => database.query<never>(sql, parameters), sql),
      transaction: (work) =>
        this.#step(() =>
          database.transaction((transaction) =>
            this.#alive(() =>
              work({
                query: (sql, parameters) => query(() => transaction.query<never>(sql, parameters), sql),
              }),
            ),
          ),
        ),
      close: async () => {},
    })
  }

  /** The broker as this process uses it. */
  adapter(adapter: Adapter): Adapter {
    return {
      ...adapter,
      connect: async (url, context) => {
        const driver = await adapter.connect(url, context)
        this.#drivers.add(driver)
        return Object.assign(Object.create(driver), {
          name: driver.name,
          capabilities: driver.capabilities,
          administration: driver.administration,
          apply: (...of: Parameters<Driver['apply']>) => this.#alive(() => driver.apply(...of)),
          wanted: (...of: Parameters<Driver['wanted']>) => this.#alive(() => driver.wanted(...of)),
          publish: (...of: Parameters<Driver['publish']>) => this.#step(() => driver.publish(...of)),
          subscribe: (...of: Parameters<Driver['subscribe']>) =>
            this.#alive(async () => this.#subscription(await driver.subscribe(...of))),
          health: () => driver.health(),
          close: () => driver.close(),
        })
      },
    }
  }

  #subscription(subscription: Subscription): Subscription {
    return {
      leaseMs: subscription.leaseMs,
      receive: (max, signal) => this.#alive(() => subscription.receive(max, signal)),
      settle: (settlements, signal) => this.#step(() => subscription.settle(settlements, signal)),
      extend: (deliveries, leaseMs) => this.#alive(() => subscription.extend(deliveries, leaseMs)),
      resize: (prefetch) => subscription.resize?.(prefetch),
      onLost: (listener) => subscription.onLost(listener),
      onHandover: (listener) => subscription.onHandover?.(listener),
      close: () => subscription.close(),
    }
  }

  async #step<Result>(run: () => Promise<Result>): Promise<Result> {
    return await this.#alive(async () => {
      const result = await run()
      this.#steps += 1
      if (this.#steps === this.#diesAt) await this.#die()
      return result
    })
  }

  async #alive<Result>(run: () => Promise<Result>): Promise<Result> {
    this.#requireAlive()
    const result = await run()
    // Nobody is there any more to be told.
    this.#requireAlive()
    return result
  }

  #requireAlive(): void {
    if (this.#isDead) throw new MessagingError('closed', 'The process is dead')
  }

  async #die(): Promise<void> {
    this.#isDead = true
    this.#died.resolve()
    await Promise.all([...this.#drivers].map((driver) => driver.close()))
  }
}
