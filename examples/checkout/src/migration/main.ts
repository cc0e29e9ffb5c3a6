/** Moves the shop to another broker while it is open, and checks its books. See docs/migrating-brokers.md. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { sqlite } from '@waybill/sqlite'

const usage = `Usage: npm run demo:migration -- --from URL --to URL [--first consumers|producers] [--orders FILE]

  --from URL     the old broker; to move consumers first it must keep what was sent (kafka://…, redis://…)
  --to URL       the new one
  --first WHO    who moves first: consumers or producers (default: consumers)
  --orders FILE  one JSON object a line (default: orders.ndjson of the example)
  --help         this text`

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      from: { type: 'string' },
      to: { type: 'string' },
      first: { type: 'string', default: 'consumers' },
      orders: { type: 'string', default: fileURLToPath(new URL('../../orders.ndjson', import.meta.url)) },
      help: { type: 'boolean', default: false },
    },
  })
  const { from, to, first, orders: ordersFile, help } = values
  if (help) {
    console.log(usage)
    return 0
  }
  if (from === undefined || to === undefined) throw new Error('--from and --to are needed')
  if (first !== 'consumers' && first !== 'producers')
    throw new Error(`--first is consumers or producers, not ${first}`)
  // All processes of the shop name their topics after it.
  const run = `checkout-${Date.now().toString(36)}`
  process.env.CHECKOUT_RUN = run
  const [{ moveShop }, { problemsOf }] = await Promise.all([import('./move.ts'), import('./sums.ts')])
  const folder = await mkdtemp(join(tmpdir(), 'waybill-checkout-'))
  try {
    const database = join(folder, 'shop.db')
    const made = sqlite({ path: database })
    await made.migrate()
    await made.close()
    const tell = (text: string) => console.log(text)
    const moved = await moveShop({ from, to, first, ordersFile, database, run, tell })
    const { customers, effects, dead } = moved
    const [old = 0, young = 0] = effects.map(({ payments }) => payments.length)
    console.log(
      `${customers.accepted.size} orders: ${old} charged by the old services, ${young} by the new ones, ${dead.size} given up.`,
    )
    const problems = problemsOf(moved)
    for (const problem of problems) console.error(`✗ DOES NOT ADD UP: ${problem}`)
    if (problems.length === 0) console.log('✓ The sums add up.')
    return problems.length === 0 ? 0 : 1
  } finally {
    await rm(folder, { recursive: true })
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  console.error('For help: npm run demo:migration -- --help')
  process.exitCode = 1
}
