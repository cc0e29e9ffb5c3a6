/** Payments that are charged and booked once, whatever is killed. See ../README.md. */
import { parseArgs } from 'node:util'
import { wholeNumbers } from '@waybill/example-workers'
import { runPayments } from './run-payments.ts'

const usage = `Usage: npm run demo:payments -- [--url URL] [--database URL] [--payments N] [--kills N] [--seed N]

  --url URL      where messages travel: memory:, amqp://…, kafka://…, sqs://…, redis://… (default: memory:)
  --database URL sqlite:PATH, or postgres://…, where each run has a schema of its own (default: a temporary SQLite file)
  --payments N   how many there are, each sent three times (default: 200)
  --kills N      how many workers are killed (default: 15)
  --seed N       makes the same payments and kills again (default: of this moment)
  --help         this text`

const options = {
  url: { type: 'string', default: 'memory:' },
  database: { type: 'string' },
  payments: { type: 'string', default: '200' },
  kills: { type: 'string', default: '15' },
  seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  help: { type: 'boolean', default: false },
} as const

async function main(): Promise<number> {
  const { url, database, help, ...numbers } = parseArgs({ options }).values
  if (help) {
    console.log(usage)
    return 0
  }
  const sizes = wholeNumbers(numbers)
  const { booked, cents, killed, problems } = await runPayments({
    ...sizes,
    ...(database !== undefined && { database }),
    url,
  })
  console.log(`${booked} payments, ${cents} cents, ${killed} workers killed, seed ${sizes.seed}`)
  for (const problem of problems) console.log(`✗ ${problem}`)
  if (problems.length === 0) console.log('✓ every payment is charged and booked once, to the cent')
  return problems.length === 0 ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  console.error('For help: npm run demo:payments -- --help')
  process.exitCode = 1
}
