/** A checkout of three steps that ends complete or compensated, whatever is killed. See ../README.md. */
import { parseArgs } from 'node:util'
import { wholeNumbers } from '@waybill/example-workers'
import { runShop } from './run-shop.ts'
import { isStyle } from './style.ts'

const usage = `Usage: npm run demo:saga -- [--style STYLE] [--url URL] [--database URL] [--orders N] [--kills N] [--seed N]

  --style STYLE  orchestration or choreography (default: both, one after the other)
  --url URL      where messages travel: memory:, amqp://…, kafka://…, sqs://…, redis://… (default: memory:)
  --database URL sqlite:PATH, or postgres://…, where each run has a schema of its own (default: a temporary SQLite file)
  --orders N     how many orders are placed (default: 100)
  --kills N      how many workers are killed (default: 15)
  --seed N       makes the same orders and kills again (default: of this moment)
  --help         this text`

const options = {
  style: { type: 'string' },
  url: { type: 'string', default: 'memory:' },
  database: { type: 'string' },
  orders: { type: 'string', default: '100' },
  kills: { type: 'string', default: '15' },
  seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  help: { type: 'boolean', default: false },
} as const

async function main(): Promise<number> {
  const { style, url, database, help, ...numbers } = parseArgs({ options }).values
  if (help) {
    console.log(usage)
    return 0
  }
  if (style !== undefined && !isStyle(style)) throw new Error(`--style is ${style}`)
  const sizes = wholeNumbers(numbers)
  let isFine = true
  for (const each of style === undefined ? (['orchestration', 'choreography'] as const) : [style]) {
    console.log(`${sizes.orders} orders by ${each}, seed ${sizes.seed}:`)
    const { completed, cancelled, killed, problems } = await runShop({
      ...sizes,
      ...(database !== undefined && { database }),
      style: each,
      url,
    })
    console.log(`  ${completed} completed, ${cancelled} compensated, ${killed} workers killed`)
    for (const problem of problems) console.log(`  ✗ ${problem}`)
    if (problems.length === 0) console.log('  ✓ every effect once, and all sums add up')
    else isFine = false
  }
  return isFine ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  console.error('For help: npm run demo:saga -- --help')
  process.exitCode = 1
}
