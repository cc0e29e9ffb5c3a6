import type { Position } from '@waybill/core'
import { parseDuration } from '@waybill/core/driver'
import type { CommandFile } from '../cli.ts'
import { UsageError } from '../failures/usage-error.ts'

export const seek: CommandFile = (cli) =>
  cli
    .command('seek', 'Moves a group to another position of its topic', [
      'waybill seek orders billing --to earliest',
      'waybill seek orders billing --to 2026-01-31T08:00:00Z --dry-run',
      'waybill seek orders billing --to 2h --yes        # what was sent in the last two hours, again',
      'waybill seek orders billing --offset 4711 --partition 3',
    ])
    .argument('<topic>')
    .argument('<group>')
    .option('--to <position>', 'earliest, latest, a time in ISO 8601, or a duration back from now')
    .option('--offset <offset>', "a position in the broker's own notation, instead of --to")
    .option('--partition <number>', 'the partition of --offset (default: 0)')
    .option('--dry-run', 'says what would be done, and does nothing')
    .option('-y, --yes', 'does not ask')
    .action((topic, group, options) =>
      cli.run(async (session) => {
        const position = positionOf(options)
        const found = await session.group(topic, group)
        const where = describePosition(position)
        const result = { topic, group, position: where, dryRun: options.dryRun === true }
        if (options.dryRun === true) {
          await session.output.result(result, `Group ${group} of topic ${topic} would be moved to ${where}.`)
          return undefined
        }
        const question = `Move group ${group} of topic ${topic} to ${where}? It skips what is in between, or gets it again.`
        await session.confirm(question, options.yes)
        await found.seek(position)
        await session.output.result(result, `Group ${group} of topic ${topic} was moved to ${where}.`)
        return undefined
      }),
    )

interface Options {
  readonly to?: string | undefined
  readonly offset?: string | undefined
  readonly partition?: string | undefined
}

function positionOf({ to, offset, partition }: Options): Position {
  if ((to === undefined) === (offset === undefined)) {
    throw new UsageError('Say where to: either --to earliest, latest, a time or a duration, or --offset')
  }
  if (partition !== undefined && (offset === undefined || !/^\d+$/.test(partition))) {
    throw new UsageError('--partition is a whole number and belongs to --offset')
  }
  if (offset !== undefined) return { to: 'offset', offset, partition: Number(partition ?? 0) }
  if (to === 'earliest' || to === 'latest') return { to }
  const ago = parseDuration(to)
  const time = ago === undefined ? timeOf(to ?? '') : new Date(Date.now() - ago)
  return { to: 'time', time }
}

function timeOf(text: string): Date {
  const time = new Date(/^\d{4}-\d\d-\d\d/.test(text) ? text : Number.NaN)
  if (!Number.isNaN(time.getTime())) return time
  throw new UsageError(
    `--to ${text} is no position: give earliest, latest, a time such as 2026-01-31T08:00:00Z, or a duration such as 2h`,
  )
}

function describePosition(position: Position): string {
  if (position.to === 'time') return position.time.toISOString()
  if (position.to === 'offset') return `offset ${position.offset} of partition ${position.partition ?? 0}`
  return position.to
}
