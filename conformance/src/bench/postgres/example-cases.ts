import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Case } from '../../case/case.ts'
import { chooseSeed } from '../programs/random.ts'
import type { Servers } from './servers.ts'

const run = promisify(execFile)

interface Example {
  readonly part: string
  readonly title: string
  readonly name: 'saga' | 'payments'
  readonly broker: 'rabbitmq' | 'kafka'
  readonly options: readonly string[]
}

const examples: readonly Example[] = [
  {
    part: 'a',
    title: 'The checkout over RabbitMQ ends complete or compensated in both styles, with its workers killed',
    name: 'saga',
    broker: 'rabbitmq',
    options: ['--orders', '20', '--kills', '3'],
  },
  {
    part: 'b',
    title: 'The payments over Kafka are charged and booked once, to the cent, with their workers killed',
    name: 'payments',
    broker: 'kafka',
    options: ['--payments', '20', '--kills', '2'],
  },
]

/** The examples as users start them: over a real broker, on a real database. */
export function exampleCases(servers: Servers): readonly Case[] {
  return examples.map(({ part, title, name, broker, options }) => ({
    number: 233,
    part,
    title,
    timeoutMs: 600_000,
    alone: true,
    async run() {
      const seed = chooseSeed() % 1_000_000
      const main = new URL(`../../../../examples/${name}/src/main.ts`, import.meta.url)
      const args = ['--conditions=@waybill/source', fileURLToPath(main), '--url', servers[broker]]
      const more = ['--database', servers.postgres.url, '--seed', String(seed), ...options]
      const { stdout } = await run(process.execPath, [...args, ...more]).catch(
        (error: { readonly stdout: string; readonly stderr: string }) => {
          throw new Error(`with the seed ${seed}: ${error.stdout}${error.stderr}`, { cause: error })
        },
      )
      assert.match(stdout, /✓/)
      console.log(stdout.trim().replace(/^/gm, '  '))
    },
  }))
}
