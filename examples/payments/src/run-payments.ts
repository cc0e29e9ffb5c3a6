import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@waybill/core'
import { dropTables, openDatabase, until, Workers } from '@waybill/example-workers'
import { sqlite } from '@waybill/sqlite'
import { audit } from './audit.ts'
import { bookedCount, openLedger } from './ledger.ts'
import { makePayments } from './make-payments.ts'
import { payments as answers, PaymentRequested, requests, run } from './messages.ts'
import { paymentServices } from './payments.ts'
import { Provider } from './provider.ts'

export interface RunOptions {
  readonly url: string
  /** Of the ledger. Default: a SQLite file that is removed in the end. */
  readonly database?: string
  readonly payments: number
  readonly kills: number
  readonly seed: number
}

export interface RunReport {
  readonly booked: number
  readonly cents: number
  readonly killed: number
  /** What does not add up. */
  readonly problems: readonly string[]
}

/** Sends every payment twice while the workers are killed, until all are booked, and does the sums. */
export async function runPayments(options: RunOptions): Promise<RunReport> {
  const { url, payments: count, kills, seed } = options
  const folder = await mkdtemp(join(tmpdir(), 'waybill-payments-'))
  const databaseUrl = options.database ?? `sqlite:${join(folder, 'ledger.db')}`
  try {
    const providerPath = join(folder, 'provider.db')
    await using database = openDatabase(databaseUrl, run)
    await using providerDatabase = sqlite({ path: providerPath })
    const provider = new Provider(providerDatabase)
    await openLedger(database)
    await provider.open()
    await using bus = await connect({ url, topics: [requests, answers], timeout: '1m', console: false })
    await using workers = new Workers({
      program: new URL('process.ts', import.meta.url),
      url,
      environment: { DATABASE: databaseUrl, PROVIDER: providerPath, RUN: run },
      kills,
      seed,
    })
    const outbox = database.outbox()
    const services = paymentServices({ database, inbox: database.inbox(), outbox }, provider)
    if (url === 'memory:') await workers.consume(bus, services)
    await using relay = outbox.relay(bus, { pollInterval: '50ms' })
    await relay.start()

    const payments = makePayments(count, seed)
    const producer = bus.producer({ source: 'website' })
    for (const payment of payments) {
      await producer.send(PaymentRequested, payment, { id: payment.paymentId })
      // Once more with the same id, and once with another: somebody has pressed the button twice.
      await producer.send(PaymentRequested, payment, { id: payment.paymentId })
      await producer.send(PaymentRequested, payment)
    }
    await until(
      async () => (await bookedCount(database)) === count && workers.killed === kills,
      async () => `${await bookedCount(database)} of ${count} booked, ${workers.killed} of ${kills} killed`,
    )
    const problems = await audit(database, provider, payments)
    return {
      booked: await bookedCount(database),
      cents: await provider.charged(),
      killed: workers.killed,
      problems,
    }
  } finally {
    await dropTables(databaseUrl, run)
    await rm(folder, { recursive: true })
  }
}
