import { InvalidMessageError, MessagingError } from '@waybill/core'
import type { CommandFile } from '../../cli.ts'
import { type ExitCode, exitCodes } from '../../failures/exit-codes.ts'
import { sentenceOf } from '../../failures/explain-failure.ts'
import { UsageError } from '../../failures/usage-error.ts'
import { countOf } from '../../output/format.ts'
import type { Session } from '../../session.ts'
import { inputLines, type Line } from '../input.ts'
import { type LineFailure, LineFailures } from '../line-failures.ts'
import { DefinitionsByType } from './definition-of.ts'
import { inWindow } from './in-window.ts'
import { type Defaults, parseOutgoing } from './outgoing.ts'

// On their way at once: as many as make the batches of all brokers full.
const inFlight = 500

export const send: CommandFile = (cli) =>
  cli
    .command('send', 'Sends one message, or one for each line of the standard input', [
      `waybill send orders --type order.placed --data '{"orderId":"o-1","total":42}'`,
      'waybill send orders --type order.placed --definitions ./messages.ts < orders.ndjson',
      'waybill tail orders --json | waybill send copies --envelope',
    ])
    .argument('<topic>')
    .argument('[file]', 'lines of JSON; the standard input if there is neither a file nor --data')
    .option('-t, --type <type>', 'the type of every message')
    .option('--data <json>', 'the data of a single message')
    .option('--envelope', 'each line is an object with data and, if you like, type, id, key, delay, …')
    .option('--id <id>', 'the id of a single message')
    .option('-k, --key <key>', 'the ordering key of every message')
    .option('--key-field <path>', 'where in the data the ordering key is, such as order.id')
    .option('--delay <duration>', 'holds every message back for so long')
    .option('--priority <number>', 'from 0 (lowest) to 9', Number)
    .option('--expires-in <duration>', 'how long every message is worth delivering')
    .option('--source <source>', 'who sends: the CloudEvents source', 'waybill-cli')
    .addHelpText(
      'after',
      `
With --definitions, data is checked by your schemas before anything of it is sent. A line that cannot be sent is told with its
number; the others are sent all the same, and the exit code is 1.`,
    )
    .action((topic, file, options) => cli.run((session) => run(session, topic, file, options)))

interface Options extends Defaults {
  readonly data?: string | undefined
  readonly envelope?: true | undefined
  readonly source: string
}

async function run(
  session: Session,
  topicName: string,
  file: string | undefined,
  options: Options,
): Promise<ExitCode | undefined> {
  const { data: single, envelope = false, source } = options
  if (single !== undefined && file !== undefined) throw new UsageError('Give either --data or a file')
  if (single === undefined && options.id !== undefined) {
    throw new UsageError('--id is for a single message with --data; give lines ids with --envelope')
  }
  if (options.type === undefined && !envelope)
    throw new UsageError('Say of which type the messages are: --type')
  const bus = await session.bus()
  const definitions = new DefinitionsByType(await session.topic(topicName), await session.definitions())
  const producer = bus.producer({ source })
  const lines = single === undefined ? inputLines(session, file) : [{ number: 1, text: single }]
  return sendAll(session, lines, async ({ text }) => {
    const { type, version, data, options: own } = parseOutgoing(text, options, envelope)
    await producer.send(definitions.of(type, version), data, own)
  })
}

async function sendAll(
  session: Session,
  lines: AsyncIterable<Line> | Iterable<Line>,
  sendOne: (line: Line) => Promise<void>,
): Promise<ExitCode | undefined> {
  const { output } = session
  const progress = session.progress('Sending')
  const failures = new LineFailures(output)
  let sent = 0
  try {
    await inWindow(lines, inFlight, async (line) => {
      try {
        await sendOne(line)
        sent += 1
      } catch (error) {
        await failures.tell(toFailure(line, error))
      }
      progress.add()
    })
  } finally {
    progress.end()
  }
  await output.result(
    { sent, failed: failures.count },
    `${countOf(sent, 'message')} sent${failures.summary}.`,
  )
  return failures.count === 0 ? undefined : exitCodes.failed
}

function toFailure({ number: line }: Line, thrown: unknown): LineFailure {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  if (!MessagingError.is(error))
    return { line, error: error.message, code: 'invalid-message', fate: 'not-sent' }
  const isOurs = error instanceof InvalidMessageError || error.code === 'invalid-options'
  return {
    line,
    error: sentenceOf(error),
    code: error.code,
    fate: error.fate ?? (isOurs ? 'not-sent' : 'unknown'),
  }
}
