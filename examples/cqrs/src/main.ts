/** A bank whose accounts are events, with two read models. See ../README.md. */
import { parseArgs } from 'node:util'
import { dropTables, openDatabase } from '@waybill/example-workers'
import { run } from './events.ts'
import { type BankReport, runBank } from './run-bank.ts'

const usage = `Usage: npm run demo:cqrs -- [--url URL] [--database URL]

  --url URL       where events travel: memory:, amqp://…, kafka://…, sqs://…, redis://… (default: memory:)
  --database URL  sqlite:PATH, pglite:, or postgres://…, where each run has a schema of its own (default: sqlite::memory:)
  --help          this text`

const options = {
  url: { type: 'string', default: 'memory:' },
  database: { type: 'string', default: 'sqlite::memory:' },
  help: { type: 'boolean', default: false },
} as const

async function main(): Promise<number> {
  const { url, database: databaseUrl, help } = parseArgs({ options }).values
  if (help) {
    console.log(usage)
    return 0
  }
  const { events, refused, problems } = await runOn(databaseUrl, url)
  console.log(`${events} events, ${refused} withdrawals refused, both read models rebuilt meanwhile`)
  for (const problem of problems) console.log(`✗ ${problem}`)
  if (problems.length === 0)
    console.log('✓ both read models, and the statements of others, agree with what was moved, to the cent')
  return problems.length === 0 ? 0 : 1
}

async function runOn(databaseUrl: string, url: string): Promise<BankReport> {
  try {
    await using database = openDatabase(databaseUrl, run)
    return await runBank(database, { accounts: 10, movements: 50, clerks: 8, url })
  } finally {
    await dropTables(databaseUrl, run)
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  console.error('For help: npm run demo:cqrs -- --help')
  process.exitCode = 1
}
