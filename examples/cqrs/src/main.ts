/** A bank whose accounts are events, with two read models. See ../README.md. */
import { parseArgs } from 'node:util'
import { postgres } from '@waybill/postgres'
import { sqlite } from '@waybill/sqlite'
import { runBank } from './run-bank.ts'

const usage = `Usage: npm run demo:cqrs -- [--database URL]

  --database URL  sqlite:PATH, sqlite::memory:, pglite:, postgres://… with a database of its own (default: sqlite::memory:)
  --help          this text`

const options = {
  database: { type: 'string', default: 'sqlite::memory:' },
  help: { type: 'boolean', default: false },
} as const

async function main(): Promise<number> {
  const { database: url, help } = parseArgs({ options }).values
  if (help) {
    console.log(usage)
    return 0
  }
  await using database = url.startsWith('sqlite:')
    ? sqlite({ path: url.slice('sqlite:'.length) })
    : postgres({ url })
  const { events, refused, problems } = await runBank(database, { accounts: 10, movements: 50, clerks: 8 })
  console.log(`${events} events, ${refused} withdrawals refused, both read models rebuilt meanwhile`)
  for (const problem of problems) console.log(`✗ ${problem}`)
  if (problems.length === 0) console.log('✓ both read models agree with what was moved, to the cent')
  return problems.length === 0 ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  console.error('For help: npm run demo:cqrs -- --help')
  process.exitCode = 1
}
