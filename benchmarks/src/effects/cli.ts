/**
 * Inbox and outbox beside SQL written by hand that does the same, and the relay beside `send` alone, on the same servers in
 * the same run, in turns. Prints ratios: above 1 is faster than the other.
 */
import { startBroker } from '../../../conformance/src/bench/brokers/index.ts'
import { median } from '../statistics.ts'
import { type Pair, pairs } from './pairs.ts'

const rounds = 7

/** Both sides in turns, each first every other time; the median of the ratios within the rounds. */
async function ratioOf({ ours, theirs }: Pair): Promise<number> {
  const ratios: number[] = []
  // The first round warms up.
  for (let round = 0; round <= rounds; round += 1) {
    const seconds = { ours: 0, theirs: 0 }
    const order = round % 2 === 0 ? (['ours', 'theirs'] as const) : (['theirs', 'ours'] as const)
    for (const side of order) seconds[side] = await (side === 'ours' ? ours : theirs)()
    if (round > 0) ratios.push(seconds.theirs / seconds.ours)
  }
  return median(ratios)
}

await using postgres = await startBroker('postgres')
await using rabbitmq = await startBroker('rabbitmq')
const { all, close } = await pairs(postgres.url, rabbitmq.url)
let sound = true
for (const pair of all) {
  const ratio = await ratioOf(pair)
  sound &&= ratio >= pair.target
  console.log(`${pair.title}: ${ratio.toFixed(2)} (target ${pair.target})`)
}
await close()
process.exitCode = sound ? 0 : 1
