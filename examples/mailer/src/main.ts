/** A checkout that answers at once, and mails that go out 50 a second. See ../README.md. */
import { parseArgs } from 'node:util'
import { runShop } from './run-shop.ts'

const usage = `Usage: npm run demo:mailer -- [--url URL] [--orders N]

  --url URL    where messages travel: memory:, amqp://…, kafka://…, sqs://…, redis://… (default: memory:)
  --orders N   how many orders are placed (default: 200)
  --help       this text`

const options = {
  url: { type: 'string', default: 'memory:' },
  orders: { type: 'string', default: '200' },
  help: { type: 'boolean', default: false },
} as const

async function main(): Promise<number> {
  const { url, orders, help } = parseArgs({ options }).values
  if (help) {
    console.log(usage)
    return 0
  }
  const count = Number(orders)
  if (!Number.isSafeInteger(count) || count < 1) throw new Error(`--orders is ${orders}`)
  const { mails, attempts, slowestMs, problems } = await runShop({ url, orders: count })
  console.log(`${mails} mails in ${attempts} attempts; the slowest checkout took ${Math.ceil(slowestMs)} ms`)
  for (const problem of problems) console.log(`✗ ${problem}`)
  if (problems.length === 0) console.log('✓ one mail for each order, and never more than the provider takes')
  return problems.length === 0 ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  console.error('For help: npm run demo:mailer -- --help')
  process.exitCode = 1
}
