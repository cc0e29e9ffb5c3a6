import { connect } from '@waybill/core'
import { databaseJobStore, openJobs } from '@waybill/jobs'
import { sqlite } from '@waybill/sqlite'
import { Provider } from './provider.ts'
import { mostPerSecond, SendReceipt } from './send-receipt.ts'

export interface ShopResult {
  readonly mails: number
  readonly attempts: number
  /** Of a checkout, in milliseconds. */
  readonly slowestMs: number
  readonly problems: readonly string[]
}

/** Takes orders, each of them twice, and sends a receipt for each. Resolves when all is sent. */
export async function runShop({
  url,
  orders,
}: {
  readonly url: string
  readonly orders: number
}): Promise<ShopResult> {
  await using database = sqlite({ path: ':memory:' })
  await database.migrate()
  await database.query('CREATE TABLE orders (id text PRIMARY KEY, cents integer NOT NULL)')
  await using bus = await connect({ url })
  await using jobs = openJobs({ bus, store: databaseJobStore(database) })
  const provider = new Provider()
  await jobs
    .worker({ concurrency: 20 })
    .handle(SendReceipt, ({ data }) => provider.send(data.orderId, data.to))
    .start()

  // The order and its mail are stored together, or neither is. The mail itself is somebody else's affair.
  async function checkOut(orderId: string, cents: number): Promise<void> {
    await database.transaction(async (transaction) => {
      await transaction.query('INSERT INTO orders (id, cents) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING', [
        orderId,
        cents,
      ])
      const mail = { orderId, to: `${orderId}@example.com`, cents }
      await jobs.add(SendReceipt, mail, { id: `receipt:${orderId}`, transaction })
    })
  }

  let slowestMs = 0
  const ids = Array.from({ length: orders }, (_, index) => `o-${index + 1}`)
  for (const [index, id] of ids.entries()) {
    const startedAt = performance.now()
    // The customer clicks twice.
    await Promise.all([checkOut(id, index * 100), checkOut(id, index * 100)])
    slowestMs = Math.max(slowestMs, performance.now() - startedAt)
  }
  for (const id of ids) await jobs.job(SendReceipt, `receipt:${id}`).result()
  const sent = provider.asked.filter(({ isSent }) => isSent)
  return { mails: sent.length, attempts: provider.asked.length, slowestMs, problems: audit(provider, ids) }
}

function audit({ asked }: Provider, ids: readonly string[]): readonly string[] {
  const problems: string[] = []
  for (const id of ids) {
    const mails = asked.filter(({ orderId, isSent }) => orderId === id && isSent).length
    if (mails !== 1) problems.push(`order ${id} got ${mails} mails`)
  }
  const times = asked.map(({ at }) => at).toSorted((one, other) => one - other)
  // The limit counts when a handler may start; until the provider is asked, a moment passes.
  const tooMany = times.some((time, index) => time - (times[index - mostPerSecond - 5] ?? -1000) < 900)
  if (tooMany) problems.push(`more than ${mostPerSecond} mails within a second`)
  return problems
}
