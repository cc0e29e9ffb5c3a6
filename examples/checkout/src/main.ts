/** A shop whose checkout answers at once and leaves billing, stock and e-mail to consumers. See ../README.md. */
import { access } from 'node:fs/promises'
import { connect } from '@waybill/core'
import { readArguments, usage } from './arguments.ts'
import { runShop } from './shop.ts'

async function main(): Promise<number> {
  const { url, orders, help } = readArguments(process.argv.slice(2))
  if (help) {
    console.log(usage)
    return 0
  }
  await access(orders).catch(() => {
    throw new Error(`There is no orders file at ${orders}`)
  })
  await using bus = await connect({ url })
  console.log(`The shop is open, its messages travel over ${bus.driver}.`)
  if (await runShop(bus, orders)) return 0
  console.error('\nThe sums do not add up.')
  return 1
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  console.error('For help: npm run demo -- --help')
  process.exitCode = 1
}
