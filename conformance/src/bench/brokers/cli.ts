import { parseArgs } from 'node:util'
import { definitions } from './definitions.ts'
import { type BrokerName, type RunningBroker, startBroker, stopEngine } from './index.ts'

const USAGE = `Usage: npm run broker -- [--json] BROKER...
       npm run broker -- --stop-engine

Starts the named brokers (${Object.keys(definitions).join(', ')}) in containers, prints their URLs, and
removes them on Ctrl-C.

  --help         print this
  --json         print one line of JSON, {"rabbitmq":"amqp://…"}, once all of them accept work
  --stop-engine  stop the container engine, if it was started by this harness and nothing of ours uses it
`

function isBrokerName(name: string): name is BrokerName {
  return Object.hasOwn(definitions, name)
}

function fail(problem: string): never {
  process.stderr.write(`${problem}\n\n${USAGE}`)
  process.exit(2)
}

function giveUp(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}

async function start(name: BrokerName, json: boolean): Promise<RunningBroker> {
  const startedAt = Date.now()
  const broker = await startBroker(name)
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1)
  if (!json) process.stdout.write(`${name.padEnd(10)}${broker.url.padEnd(48)} ready after ${seconds} s\n`)
  return broker
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        help: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        'stop-engine': { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error))
  }
}

const { values, positionals } = parse()

if (values.help) process.stdout.write(USAGE)
else if (values['stop-engine']) {
  const stopped = await stopEngine()
  process.stdout.write(stopped ? 'stopped\n' : 'not ours to stop, or not running\n')
} else {
  if (positionals.length === 0) fail('Name at least one broker.')
  const names = positionals.map((name) => (isBrokerName(name) ? name : fail(`Unknown broker: ${name}`)))
  const brokers = await Promise.all(names.map((name) => start(name, values.json))).catch(giveUp)
  if (values.json) {
    process.stdout.write(
      `${JSON.stringify(Object.fromEntries(brokers.map(({ name, url }) => [name, url])))}\n`,
    )
  }
  process.stderr.write('Ctrl-C stops and removes them.\n')
  // Waits for a signal; the containers are removed as the process ends.
  setInterval(() => undefined, 2 ** 30)
}
