import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const options = {
  url: { type: 'string', default: 'memory:' },
  orders: { type: 'string', default: fileURLToPath(new URL('../orders.ndjson', import.meta.url)) },
  help: { type: 'boolean', default: false },
} as const

export const usage = `Usage: npm run demo -- [--url URL] [--orders FILE]

  --url URL      where messages travel: memory:, amqp://…, kafka://…, sqs://…, redis://… (default: memory:)
  --orders FILE  one JSON object a line (default: orders.ndjson of the example)
  --help         this text`

/** @throws {TypeError} that says what is wrong with the arguments. */
export function readArguments(args: readonly string[]) {
  return parseArgs({ args: [...args], options }).values
}
