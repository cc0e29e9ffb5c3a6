/** The program of each process of the shop. It works until its parent has no more use for it, or has ended. */
import { openBridge } from '@waybill/bridge'
import { connect } from '@waybill/core'
import { sqlite } from '@waybill/sqlite'
import { Bank } from '../bank.ts'
import { billing } from '../billing.ts'
import { newTill, place } from '../checkout.ts'
import { type Email, mail } from '../mail.ts'
import { orders, payments } from '../messages.ts'
import { type Shelf, stock } from '../stock.ts'
import { type Call, type Job, noEffects, type Question, type Report } from './jobs.ts'

type Answering = (question: Question) => Promise<Report>

const job: Job = JSON.parse(process.argv[2] ?? 'null')
process.on('disconnect', () => process.exit())
const answer = await begin()
process.on('message', async ({ call, question }: Call) => {
  try {
    process.send?.({ call, report: await answer(question) })
  } catch (error) {
    process.send?.({ call, problem: error instanceof Error ? error.message : String(error) })
  }
})
process.send?.('ready')

function begin(): Promise<Answering> {
  switch (job.role) {
    case 'till':
      return beTill(job)
    case 'services':
      return beServices(job)
    case 'bridge':
      return beBridge(job)
  }
}

async function beTill({ url }: Extract<Job, { role: 'till' }>): Promise<Answering> {
  const bus = await connect({ url, topics: [orders], console: false, timeout: '1m' })
  const producer = bus.producer({ source: 'checkout' })
  return async (question) => {
    if (question.kind === 'place') {
      const till = newTill()
      await place(question.request, question.line, producer, till)
      const [order] = till.accepted.values()
      return { kind: 'place', order }
    }
    await bus.close()
    return { kind: 'stop', effects: noEffects }
  }
}

async function beServices({ url, database: path }: Extract<Job, { role: 'services' }>): Promise<Answering> {
  const bus = await connect({ url, topics: [orders, payments], console: false, timeout: '1m' })
  const database = sqlite({ path })
  const store = database.idempotencyStore()
  const bank = new Bank()
  bank.endOutage()
  const shelf: Shelf = new Map()
  const emails: Email[] = []
  const consumers = [billing(bus, bank, store), stock(bus, shelf, store), mail(bus, emails, store)]
  await Promise.all(consumers.map((consumer) => consumer.start()))
  return async (question) => {
    if (question.kind === 'charged') return { kind: 'charged', count: bank.payments.size }
    await Promise.all(consumers.map((consumer) => consumer.stop()))
    await bus.close()
    await database.close()
    return { kind: 'stop', effects: { payments: [...bank.payments], shelf: [...shelf], emails } }
  }
}

async function beBridge({ from, to, fromBeginning }: Extract<Job, { role: 'bridge' }>): Promise<Answering> {
  const topics = [orders, payments]
  const bridge = await openBridge({
    from: { url: from, timeout: '1m' },
    to: { url: to, timeout: '1m' },
    ...{ topics, fromBeginning, lease: '5s' },
  })
  return async (question) => {
    if (question.kind === 'drain') {
      const stats = await bridge.drained()
      return { kind: 'drain', moved: stats.reduce((sum, { moved }) => sum + moved, 0) }
    }
    await bridge.close()
    return { kind: 'stop', effects: noEffects }
  }
}
