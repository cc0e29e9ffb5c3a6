import type { Clock } from '@waybill/core/driver'
import type { Host } from '../host.ts'
import { slotCount } from '../migrations/0002-outbox.ts'
import { longestLeaseMs } from './relay-options.ts'

/**
 * This relay's share of the slots. Relays divide them evenly, by leases that each renews; what one that has died or stands still
 * had is free when its leases have run out.
 */
export class Leases {
  readonly #host: Host
  readonly #clock: Clock
  readonly #relay: string
  readonly #leaseMs: number
  #mine: ReadonlySet<number> = new Set()
  readonly #leaving = new Set<number>()
  #until = Number.NEGATIVE_INFINITY

  constructor(host: Host, relay: string, leaseMs: number) {
    this.#host = host
    this.#clock = host.clock
    this.#relay = relay
    this.#leaseMs = leaseMs
  }

  /** The slots that are ours now; none once the leases may have run out. */
  get slots(): ReadonlySet<number> {
    return this.#clock.monotonic() < this.#until ? this.#mine : new Set()
  }

  /** Nothing was renewed in time. */
  get haveRunOut(): boolean {
    return this.#clock.monotonic() >= this.#until
  }

  /** Of a row with a lease. One that is longer than any was given by a clock that was set back since. */
  get #isOver(): string {
    const { now, after } = this.#host.dialect
    return `(expires_at <= ${now} OR expires_at > ${after(String(longestLeaseMs))})`
  }

  /** Renews, gives up what is above a fair share, and takes what is free. `settled` resolves when what is under way is done. */
  async renew(settled: () => Promise<void>): Promise<void> {
    const { table, now, after } = this.#host.dialect
    const startedAt = this.#clock.monotonic()
    await this.#host.query(
      `INSERT INTO ${table('relays')} (relay, expires_at) VALUES ($1, ${after('$2')}) ON CONFLICT (relay) DO UPDATE SET expires_at = excluded.expires_at`,
      [this.#relay, this.#leaseMs],
    )
    const renewed = await this.#host.query<{ slot: number }>(
      `UPDATE ${table('slots')} SET expires_at = ${after('$2')} WHERE owner = $1 AND expires_at > ${now} RETURNING slot`,
      [this.#relay, this.#leaseMs],
    )
    this.#hold(
      renewed.map(({ slot }) => slot),
      startedAt,
    )
    const [relays] = await this.#host.query<Record<'known' | 'alive', number | string>>(
      `SELECT count(*) AS known, count(CASE WHEN NOT ${this.#isOver} THEN 1 END) AS alive FROM ${table('relays')}`,
    )
    const [known, alive] = [Number(relays?.known ?? 1), Number(relays?.alive ?? 1)]
    // Those that were killed.
    if (alive < known) await this.#host.query(`DELETE FROM ${table('relays')} WHERE ${this.#isOver}`)
    const share = Math.ceil(slotCount / Math.max(1, alive))
    if (this.#mine.size > share) this.#giveUp([...this.#mine].slice(share), settled)
    else if (this.#mine.size < share) await this.#take(share - this.#mine.size)
  }

  /** Leaves everything to the others. */
  async end(): Promise<void> {
    const { table } = this.#host.dialect
    this.#mine = new Set()
    await this.#host.query(`UPDATE ${table('slots')} SET owner = NULL WHERE owner = $1`, [this.#relay])
    await this.#host.query(`DELETE FROM ${table('relays')} WHERE relay = $1`, [this.#relay])
  }

  #hold(slots: readonly number[], since: number): void {
    this.#mine = new Set(slots.filter((slot) => !this.#leaving.has(slot)))
    // Ours is over before that of the database, whatever the query took.
    this.#until = since + this.#leaseMs * 0.9
  }

  /** Not waited for: what is being sent may take longer than a lease. Until then the slots are renewed, but not used. */
  #giveUp(slots: readonly number[], settled: () => Promise<void>): void {
    const { table, isIn } = this.#host.dialect
    for (const slot of slots) this.#leaving.add(slot)
    this.#mine = new Set([...this.#mine].filter((slot) => !this.#leaving.has(slot)))
    const sql = `UPDATE ${table('slots')} SET owner = NULL WHERE owner = $1 AND ${isIn('slot', '$2', 'bigint')}`
    settled()
      .then(() => this.#host.query(sql, [this.#relay, slots]))
      // They are given up again at the next renewal.
      .catch(() => {})
      .finally(() => {
        for (const slot of slots) this.#leaving.delete(slot)
      })
  }

  async #take(count: number): Promise<void> {
    const { table, after, lockingFree } = this.#host.dialect
    const startedAt = this.#clock.monotonic()
    const taken = await this.#host.query<{ slot: number }>(
      `WITH free AS MATERIALIZED (SELECT slot FROM ${table('slots')} WHERE owner IS NULL OR ${this.#isOver} ORDER BY slot LIMIT $3 ${lockingFree})
UPDATE ${table('slots')} SET owner = $1, expires_at = ${after('$2')} WHERE slot IN (SELECT slot FROM free) RETURNING slot`,
      [this.#relay, this.#leaseMs, count],
    )
    // Those that were renewed end first, and with them ours as a whole.
    if (this.#mine.size === 0) this.#until = startedAt + this.#leaseMs * 0.9
    this.#mine = new Set([...this.#mine, ...taken.map(({ slot }) => slot)])
  }
}
