import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@waybill/core'
import type { Database } from '@waybill/database'
import { dropTables, openDatabase, until, Workers } from '@waybill/example-workers'
import { audit } from './audit.ts'
import { makeOrders } from './make-orders.ts'
import { OrderPlaced, run, orders as topic } from './messages.ts'
import { endings, type Style, servicesOf } from './style.ts'
import { makeTables } from './tables.ts'

export interface ShopOptions {
  readonly style: Style
  readonly url: string
  /** Default: a SQLite file that is removed in the end. */
  readonly database?: string
  readonly orders: number
  readonly kills: number
  readonly seed: number
}

export interface ShopReport {
  readonly completed: number
  readonly cancelled: number
  readonly killed: number
  /** What does not add up. */
  readonly problems: readonly string[]
}

/** Takes orders while its workers are killed, until each has ended one way or the other, and does the sums. */
export async function runShop(
  options: ShopOptions,
  inspect?: (database: Database) => Promise<void>,
): Promise<ShopReport> {
  const { style, url, kills, seed } = options
  const folder = await mkdtemp(join(tmpdir(), 'waybill-saga-'))
  const databaseUrl = options.database ?? `sqlite:${join(folder, 'shop.db')}`
  try {
    await using database = openDatabase(databaseUrl, run)
    const shelf = { book: options.orders * 3, 'out-of-print': 0 }
    await makeTables(database, shelf)
    const outbox = database.outbox({ source: 'website' })
    const services = servicesOf(style)({ database, inbox: database.inbox(), outbox })
    const definitions = services.flatMap(({ handlers }) => handlers.map(({ definition }) => definition))
    const topics = [topic, ...definitions.map((definition) => definition.topic)]
    await using bus = await connect({ url, topics, timeout: '1m', console: false })
    await using workers = new Workers({
      program: new URL('process.ts', import.meta.url),
      url,
      environment: { DATABASE: databaseUrl, STYLE: style, RUN: run },
      kills,
      seed,
    })
    if (url === 'memory:') await workers.consume(bus, services)
    await using relay = outbox.relay(bus, { pollInterval: '50ms' })
    await relay.start()

    const orders = makeOrders(options.orders, seed)
    for (const order of orders)
      await database.transaction((transaction) =>
        outbox.send(transaction, OrderPlaced, order, { id: order.orderId }),
      )
    const ended = async () => await endings(style, database)
    await until(
      async () => {
        const { completed, cancelled } = await ended()
        return completed + cancelled === orders.length && workers.killed === kills
      },
      async () => {
        const [journal] = await database.query<{ effects: number }>('SELECT count(*) AS effects FROM journal')
        const { waiting } = await outbox.stats()
        const progress = { ...(await ended()), effects: Number(journal?.effects), waiting }
        return `${JSON.stringify(progress)}, ${workers.killed} killed`
      },
    )
    const problems = await audit(database, orders, shelf)
    await inspect?.(database)
    return { ...(await ended()), killed: workers.killed, problems }
  } finally {
    await dropTables(databaseUrl, run)
    await rm(folder, { recursive: true })
  }
}
