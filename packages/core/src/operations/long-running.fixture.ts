/** A process that handles messages until a signal: what `runUntilSignal` does to it is told line by line. */
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { connect, defineMessage, defineTopic, runUntilSignal } from '../index.ts'

const [mode] = process.argv.slice(2)
const say = (line: string) => process.stdout.write(`${line}\n`)

const jobs = defineTopic('jobs', { groups: ['workers'] })
const Job = defineMessage(jobs, 'job', { schema: z.object({ n: z.number() }) })
const handling = Promise.withResolvers<void>()
const stopping = Promise.withResolvers<void>()
const bus = await connect({ url: 'memory:', console: false })
const producer = bus.producer()
await bus
  .consumer('workers')
  .on(Job, async () => {
    say('handling')
    handling.resolve()
    await (mode === 'hangs' || mode === 'is told twice' ? new Promise<never>(() => {}) : stopping.promise)
    say('handled')
  })
  .start()
const forget = bus.beforeClose(async () => {
  await producer.send(Job, { n: 2 })
  forget()
  say('sent while closing')
})
// What an application forgets to close.
if (mode === 'lingers') setInterval(() => {}, 1000)
if (mode === 'has failed') process.exitCode = 3
await producer.send(Job, { n: 1 })
await handling.promise
const running = runUntilSignal(bus, {
  timeout: mode === 'hangs' ? '300ms' : '60s',
  before: () => {
    say('before')
    stopping.resolve()
  },
  after: async () => {
    say('after')
    if (mode === 'fails') throw new Error('The database does not close')
  },
})
if (mode === 'has two') {
  const after = async () => {
    // Longer than a run that has ended waits for the process to end.
    await sleep(3000)
    say('the other after')
  }
  void runUntilSignal(await connect({ url: 'memory:', console: false }), { after })
}
say('ready')
const report = await running
say(JSON.stringify({ ...report, errors: report.errors.map(({ message }) => message) }))
