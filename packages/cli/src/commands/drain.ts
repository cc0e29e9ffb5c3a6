import { setTimeout as sleep } from 'node:timers/promises'
import type { Group, GroupStats } from '@waybill/core'
import { milliseconds } from '../arguments.ts'
import type { CommandFile } from '../cli.ts'
import { CommandFailure } from '../failures/command-failure.ts'
import { exitCodes } from '../failures/exit-codes.ts'
import { countOf, formatDuration } from '../output/format.ts'

// Figures of some brokers are approximate, and a message may be between two of them.
const zerosNeeded = 2

export const drain: CommandFile = (cli) =>
  cli
    .command('drain', 'Waits until a group has nothing left to do', [
      'waybill drain orders billing --timeout 10m && deploy',
      'waybill drain orders billing --no-delayed',
    ])
    .argument('<topic>')
    .argument('<group>')
    .option('--timeout <duration>', 'gives up after so long, with exit code 124', milliseconds, 300_000)
    .option('--interval <duration>', 'how often it looks', milliseconds, 1000)
    .option('--no-delayed', 'does not wait for messages that are not due yet')
    .addHelpText(
      'after',
      `
It only looks: it stops no producer, starts no consumer and takes no message. It ends with 0 once two readings in a row say
that nothing waits, nothing is in flight and nothing is delayed. Dead letters do not count. RabbitMQ does not tell what
other connections have in flight; Kafka counts it as waiting. If something is sent after
that, it is not drained any more: stop the producers first, and leave the consumers running.`,
    )
    .action((topic, group, { timeout, interval, delayed }) =>
      cli.run(async (session) => {
        const found = await session.group(topic, group)
        const startedAt = performance.now()
        const progress = session.progress('Waiting for')
        try {
          for (let zeros = 0; ; ) {
            const stats = await found.stats()
            const left = leftOf(found, stats, delayed)
            zeros = left === 0 ? zeros + 1 : 0
            const waitedMs = performance.now() - startedAt
            if (zeros === zerosNeeded) {
              const unknown = unknownOf(stats)
              const result = {
                topic,
                group,
                drained: true,
                waitedMs: Math.round(waitedMs),
                unknown: unknown ?? null,
              }
              const text = `Group ${group} is drained, after ${formatDuration(waitedMs)}`
              progress.end()
              await session.output.result(result, unknown === undefined ? `${text}.` : `${text}; ${unknown}.`)
              return undefined
            }
            if (waitedMs >= timeout) {
              const what = `Group ${group} of topic ${topic} still has ${countOf(left, 'message')} to do`
              throw new CommandFailure(exitCodes.timeout, `${what} after ${formatDuration(timeout)}`)
            }
            progress.set(left)
            await sleep(Math.min(interval, timeout - waitedMs), undefined, { signal: session.signal })
          }
        } finally {
          progress.end()
        }
      }),
    )

/** What is known to be left. A figure that the broker does not tell is left out, which `unknownOf` says. */
function leftOf(
  { name, topic }: Group,
  { waiting, inFlight = 0, delayed = 0 }: GroupStats,
  withDelayed: boolean,
): number {
  if (waiting !== undefined) return waiting + inFlight + (withDelayed ? delayed : 0)
  const what = `The broker does not say how many messages wait for group ${name} on topic ${topic.name}`
  throw new CommandFailure(exitCodes.unsupported, `${what}, so nobody can tell when it is drained`)
}

/** What drained cannot mean on this broker. Log-shaped brokers count what is in flight as waiting. */
function unknownOf({ inFlight, partitions }: GroupStats): string | undefined {
  if (inFlight !== undefined || partitions !== undefined) return undefined
  return 'this broker does not tell what other connections have in flight, so a handler may still be running'
}
