import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { connect, fixed } from '@waybill/core'
import { until } from '@waybill/example-workers'
import { sqlite } from '@waybill/sqlite'
import { describe, it } from 'vitest'
import { audit } from './audit.ts'
import { bookedCount, feeOf, openLedger } from './ledger.ts'
import { type Payment, PaymentRequested, payments, requests } from './messages.ts'
import { paymentServices } from './payments.ts'
import { Provider } from './provider.ts'
import { runPayments } from './run-payments.ts'

const payment: Payment = { paymentId: 'p-1', customer: 'c-1', cents: 4999, card: 'good' }

async function openShop() {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-payments-'))
  const path = join(folder, 'ledger.db')
  const database = sqlite({ path, busyTimeout: 20 })
  const providerDatabase = sqlite({ path: ':memory:' })
  const provider = new Provider(providerDatabase)
  await openLedger(database)
  await provider.open()
  const bus = await connect({ url: 'memory:', topics: [requests, payments], console: false })
  const outbox = database.outbox()
  const relay = outbox.relay(bus, { pollInterval: '20ms' })
  await relay.start()
  const receipts: string[] = []
  const failures: string[] = []
  bus.on('retried', ({ error }) => failures.push(error.message))
  const services = paymentServices({ database, inbox: database.inbox(), outbox }, provider, async (id) => {
    receipts.push(id)
  })
  for (const { group, handlers } of services) {
    const consumer = bus.consumer(group, { retry: { attempts: 100, backoff: fixed('20ms') } })
    for (const { definition, handle } of handlers) consumer.on(definition, handle)
    await consumer.start()
  }
  const producer = bus.producer()
  return {
    provider,
    path,
    receipts,
    failures,
    database,
    send: (data: Payment, id?: string) =>
      producer.send(PaymentRequested, data, id === undefined ? {} : { id }),
    /** Until so many are booked, and each that was captured has its receipt. */
    async booked(count: number, captured = count) {
      const state = async () => `${await bookedCount(database)} booked, ${receipts.length} receipts`
      await until(async () => (await state()) === `${count} booked, ${captured} receipts`, state)
    },
    problems: (of: readonly Payment[]) => audit(database, provider, of),
    async [Symbol.asyncDispose]() {
      await relay.stop()
      await bus.close()
      await database.close()
      await providerDatabase.close()
      await rm(folder, { recursive: true })
    },
  }
}

describe('the payment consumer', () => {
  it('charges and books a payment that comes again and again, under its own and under other ids, once', async () => {
    await using shop = await openShop()
    for (const id of ['m-1', 'm-1', 'm-2', 'm-1', 'm-3']) await shop.send(payment, id)
    await shop.send({ ...payment, paymentId: 'p-2' })
    await shop.booked(2)
    assert.deepEqual(await shop.problems([payment, { ...payment, paymentId: 'p-2' }]), [])
    assert.deepEqual(shop.receipts, ['p-1', 'p-2'])
  })

  it('waits for a provider that is down, and charges once it is back', async () => {
    await using shop = await openShop()
    shop.provider.isDown = true
    await shop.send(payment)
    const failed = async () => String(shop.failures.length)
    await until(async () => shop.failures.length > 3, failed)
    assert.match(shop.failures[0] ?? '', /the provider cannot be reached/)
    assert.equal(await bookedCount(shop.database), 0)
    shop.provider.isDown = false
    await shop.booked(1)
    assert.deepEqual(await shop.problems([payment]), [])
  })

  it('books what was charged although the answer was lost, and charges nothing again', async () => {
    await using shop = await openShop()
    const slow = { ...payment, card: 'slow' }
    await shop.send(slow)
    await shop.booked(1)
    assert.match(shop.failures[0] ?? '', /took too long/)
    assert.deepEqual(await shop.problems([slow]), [])
  })

  it('books what was charged while the database could not be written, when it can', async () => {
    await using shop = await openShop()
    const other = new DatabaseSync(shop.path)
    other.exec('BEGIN IMMEDIATE')
    await shop.send(payment)
    const failed = async () => String(shop.failures.length)
    await until(async () => shop.failures.length > 2, failed)
    assert.match(shop.failures[0] ?? '', /held the database for too long/)
    assert.equal(await shop.provider.charged(), payment.cents)
    other.exec('ROLLBACK')
    other.close()
    await shop.booked(1)
    assert.deepEqual(await shop.problems([payment]), [])
  })

  it('books a declined payment as such, without entries', async () => {
    await using shop = await openShop()
    const declined = { ...payment, card: 'declined' }
    await shop.send(declined)
    await shop.booked(1, 0)
    assert.deepEqual(await shop.problems([declined]), [])
  })

  it('takes fees in whole cents, and never more than there is', () => {
    assert.deepEqual([1, 30, 31, 4999, 10_000].map(feeOf), [1, 30, 31, 175, 320])
  })

  it('has books that add up to the cent although its workers are killed', { timeout: 180_000 }, async () => {
    const { booked, killed, problems } = await runPayments({
      url: 'memory:',
      payments: 25,
      kills: 3,
      seed: 11,
    })
    assert.deepEqual(problems, [])
    assert.deepEqual([booked, killed], [25, 3])
  })
})
