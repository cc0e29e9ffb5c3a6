import type { DeliveryInfo, Message } from '@waybill/core'
import { positive } from '../arguments.ts'
import type { CommandFile } from '../cli.ts'
import { legible } from '../output/legible.ts'
import type { Session } from '../session.ts'
import { messageToJson } from './message-json.ts'

export const tail: CommandFile = (cli) =>
  cli
    .command('tail', 'Prints messages as they are sent; no group misses any of them', [
      'waybill tail orders',
      "waybill tail orders --type 'order.*' --count 10",
      'waybill tail orders --json | jq .data.orderId',
    ])
    .argument('<topic>', 'the topic to watch')
    .option('-t, --type <pattern>', "only these types: '*' is one segment, '#' any number", '#')
    .option('-n, --count <number>', 'ends after so many messages', positive)
    .action((topic, options) => cli.run((session) => run(session, topic, options)))

async function run(
  session: Session,
  topicName: string,
  { type, count = Number.POSITIVE_INFINITY }: { readonly type: string; readonly count?: number | undefined },
): Promise<undefined> {
  const bus = await session.bus()
  const topic = await session.topic(topicName)
  const enough = Promise.withResolvers<void>()
  let seen = 0
  let printing = Promise.resolve()
  const show = (print: () => Promise<void>): Promise<void> => {
    seen += 1
    if (seen > count) return Promise.resolve()
    printing = printing.then(print)
    if (seen === count) enough.resolve()
    return printing
  }
  bus.on('dropped', (delivery) => {
    if (delivery.message === undefined) show(() => printUnreadable(session, delivery)).catch(enough.reject)
  })
  bus.on('failure', ({ what, error }) => session.output.note(`waybill: ${what}: ${error.message}`))
  const consumer = bus
    .consumer(`tail-${process.pid}-${Date.now().toString(36)}`, {
      broadcast: true,
      allowUndeclaredGroup: true,
      concurrency: 1,
      retry: { attempts: 1 },
    })
    .on(topic, type, (message) => show(() => print(session, message)))
  await consumer.start({ signal: session.signal })
  session.output.note(`Watching topic ${topicName} from now on; Ctrl-C ends it.`)
  await enough.promise
  await printing
  return undefined
}

async function print({ output }: Session, message: Message): Promise<void> {
  if (output.isJson) return output.json(messageToJson(message))
  const { timestamp, type, id, key, data } = message
  const parts = [timestamp.toISOString(), type, id, ...(key === undefined ? [] : [`key=${key}`])]
  await output.line(legible(`${parts.join('  ')}  ${JSON.stringify(data)}`))
}

async function printUnreadable(
  { output }: Session,
  { error, topic }: DeliveryInfo & { readonly error: Error | undefined },
): Promise<void> {
  const why = error?.message ?? 'the body cannot be read'
  await output.result(
    { undecodable: true, topic, error: why },
    `(a message that cannot be read: ${legible(why)})`,
  )
}
