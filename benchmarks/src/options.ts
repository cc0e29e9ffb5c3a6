import { parseArgs } from 'node:util'
import { type Broker, brokers } from './contender.ts'
import { ours, peers } from './load-contender.ts'
import { works } from './works/index.ts'

export interface Options {
  readonly brokers: readonly Broker[]
  /** Letters. */
  readonly works: readonly string[]
  readonly rounds: number
  /** Undefined: all that are asked for by `peers`. */
  readonly contenders: readonly string[] | undefined
  readonly peers: boolean
  readonly seconds: number
  readonly messages: number | undefined
  readonly backlog: number
  readonly output: string
  readonly profiles: string | undefined
  /** Measures the sources, not what is built and published. */
  readonly source: boolean
  /** Runs nothing; writes table and chart of the results that are there. */
  readonly reportOnly: boolean
}

const letters = [...works.map(({ letter }) => letter), 'f'].sort()

export const usage = `Usage: npm run bench -- [--broker NAMES] [--work LETTERS] [--rounds N] [--contenders NAMES] [--peers]

  --broker NAMES      of ${brokers.join(',')}; default: all
  --work LETTERS      of ${letters.join(',')}; default: all
${works.map(({ letter, title }) => `                        ${letter}  ${title}`).join('\n')}
                        f  CPU time a message, read during a and b
  --rounds N          every contender in each round, in turns; default: 5
  --contenders NAMES  default: ${[...new Set(Object.values(ours).flat())].join(',')}
  --peers             other libraries too: ${[...new Set(Object.values(peers).flat())].join(', ')}
                      (installs them into benchmarks/peers)
  --seconds N         how long timed sends last; default: 4
  --messages N        the backlog of b and g; default: 100000, on kafka and redis 200000, on sqs 20000
  --backlog N         the backlog of e; default: 1000000
  --output FOLDER     default: benchmarks/results
  --profile FOLDER    have V8 write a CPU profile of each process there
  --source            measure Waybill's sources instead of the built packages, for work on them
  --report            run nothing, write table and chart anew from the results in the output folder
  --help
`

/** A mistake in the arguments, to be shown with the usage. */
export class UsageError extends Error {}

export function parseOptions(args: readonly string[]): Options | 'help' {
  const values = parse(args)
  if (values.help) return 'help'
  const contenders = values.contenders === undefined ? undefined : list(values.contenders)
  const known = new Set([...Object.values(ours), ...Object.values(peers)].flat())
  const strangers = contenders?.filter((name) => !known.has(name)) ?? []
  if (strangers.length > 0) throw new UsageError(`Unknown contender: ${strangers.join(', ')}`)
  const chosen = values.work === undefined ? letters : list(values.work)
  const unknown = chosen.filter((letter) => !letters.includes(letter))
  if (unknown.length > 0) throw new UsageError(`Unknown work: ${unknown.join(', ')}`)
  return {
    brokers: values.broker === undefined ? brokers : list(values.broker).map(toBroker),
    works: [...new Set(chosen.flatMap((letter) => (letter === 'f' ? ['a', 'b'] : [letter])))],
    rounds: toCount(values.rounds, 'rounds'),
    contenders,
    peers: values.peers,
    seconds: toCount(values.seconds, 'seconds'),
    messages: values.messages === undefined ? undefined : toCount(values.messages, 'messages'),
    backlog: toCount(values.backlog, 'backlog'),
    output: values.output,
    profiles: values.profile,
    source: values.source,
    reportOnly: values.report,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        broker: { type: 'string' },
        work: { type: 'string' },
        rounds: { type: 'string', default: '5' },
        contenders: { type: 'string' },
        peers: { type: 'boolean', default: false },
        seconds: { type: 'string', default: '4' },
        messages: { type: 'string' },
        backlog: { type: 'string', default: '1000000' },
        output: { type: 'string', default: 'benchmarks/results' },
        profile: { type: 'string' },
        source: { type: 'boolean', default: false },
        report: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

const list = (text: string) => text.split(',').filter((each) => each !== '')

function toBroker(name: string): Broker {
  const broker = brokers.find((each) => each === name)
  if (broker === undefined) throw new UsageError(`Unknown broker: ${name}`)
  return broker
}

function toCount(text: string, name: string): number {
  const count = Number(text)
  if (Number.isSafeInteger(count) && count > 0) return count
  throw new UsageError(`--${name} takes a positive whole number, not "${text}"`)
}
