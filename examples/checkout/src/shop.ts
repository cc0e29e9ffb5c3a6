import { type Bus, type DeadLetter, type DeadLetters, memoryIdempotencyStore } from '@waybill/core'
import { audit } from './audit.ts'
import { Bank } from './bank.ts'
import { billing } from './billing.ts'
import { newTill, serve } from './checkout.ts'
import { formatCount } from './format.ts'
import { Ledger } from './ledger.ts'
import { type Email, mail } from './mail.ts'
import { orders, payments } from './messages.ts'
import { showProgress } from './progress.ts'
import { describeBooks, describeChecks, describeLetters, describeTill } from './report.ts'
import { type Shelf, stock } from './stock.ts'
import { untilAllEnded } from './wait.ts'

/** A day in the shop. Resolves with whether all sums add up. */
export async function runShop(bus: Bus, ordersFile: string): Promise<boolean> {
  const till = newTill()
  const ledger = new Ledger(bus, [orders, payments])
  const bank = new Bank()
  const shelf: Shelf = new Map()
  const outbox: Email[] = []
  // Three services in one process, for the demonstration. What the store remembers, it remembers for each group.
  const store = memoryIdempotencyStore()
  const consumers = [billing(bus, bank, store), stock(bus, shelf, store), mail(bus, outbox, store)]
  await Promise.all(consumers.map((consumer) => consumer.start()))

  console.log('Serving customers:')
  {
    using _progress = showProgress(till, ledger)
    await serve(ordersFile, bus.producer({ source: 'checkout' }), till)
    await untilAllEnded(ledger)
  }
  console.log(`\n${describeTill(till)}`)

  const deadLetters = bus.group(orders, 'billing').deadLetters
  const given = await collect(deadLetters)
  console.log(`\nBilling gave up on ${formatCount(given.length)} messages:\n${describeLetters(given)}`)

  console.log('\nBanco Aurora can be reached again; replaying the dead letters:')
  {
    using _progress = showProgress(till, ledger)
    bank.endOutage()
    ledger.reopen('billing')
    await deadLetters.replayAll()
    await untilAllEnded(ledger)
  }
  const left = await collect(deadLetters)
  console.log(`\n${formatCount(left.length)} are back:\n${describeLetters(left)}`)
  await Promise.all(consumers.map((consumer) => consumer.stop()))

  const unpaid = new Set(
    left.flatMap(({ message }) => message?.id ?? []).filter((id) => !bank.payments.has(id)),
  )
  const books = { till, ledger, bank, shelf, outbox, unpaid }
  const checks = audit(books)
  console.log(`\nThe books:\n\n${describeBooks(books)}\n\n${describeChecks(checks)}`)
  return checks.every(({ addsUp }) => addsUp)
}

async function collect(deadLetters: DeadLetters): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = []
  for await (const letter of deadLetters.list()) letters.push(letter)
  return letters
}
