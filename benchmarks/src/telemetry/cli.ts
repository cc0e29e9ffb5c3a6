/**
 * What telemetry costs: the same work with and without it, in processes of their own that take turns. Prints ratios to a bus
 * without telemetry: the median of the ratios within the rounds, of CPU time and of time. On memory unless a broker's URL is
 * given, so that nothing but the process is measured: over a broker the ratios are smaller.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { median } from '../statistics.ts'
import { bare, names } from './contenders.ts'
import type { Taken, Turn } from './turn.ts'

const rounds = 21
const warmUps = 4
const messages = 4000
const program = fileURLToPath(new URL('worker.ts', import.meta.url))
const [url = 'memory:'] = process.argv.slice(2)

async function start(name: string): Promise<ChildProcess> {
  const child = fork(program, [name, url])
  await once(child, 'message')
  return child
}

async function turnOf(child: ChildProcess): Promise<Turn> {
  child.send(messages)
  const [turn] = await once(child, 'message')
  return turn
}

/** Of each contender its turns, one a round. */
async function takeTurns(): Promise<ReadonlyMap<string, readonly Turn[]>> {
  const children = new Map<string, ChildProcess>()
  for (const name of names) children.set(name, await start(name))
  const turns = new Map<string, Turn[]>(names.map((name) => [name, []]))
  for (let round = -warmUps; round < rounds; round += 1) {
    // Each round begins with another one.
    const first = (round + warmUps) % names.length
    for (const name of [...names.slice(first), ...names.slice(0, first)]) {
      const child = children.get(name)
      if (child === undefined) continue
      const turn = await turnOf(child)
      if (round >= 0) turns.get(name)?.push(turn)
    }
  }
  for (const child of children.values()) child.disconnect()
  return turns
}

const turns = await takeTurns()
const ratio = (name: string, of: (turn: Turn) => number): string => {
  const base = turns.get(bare) ?? []
  return median((turns.get(name) ?? []).map((turn, round) => of(turn) / of(base[round] ?? turn))).toFixed(2)
}
console.log('| | send: CPU | send: time | handle: CPU | handle: time |\n| --- | ---: | ---: | ---: | ---: |')
for (const name of names.filter((each) => each !== bare)) {
  const cells = (['send', 'handle'] as const).flatMap((work) =>
    (['cpuMs', 'wallMs'] as const).map((what: keyof Taken) => ratio(name, (turn) => turn[work][what])),
  )
  console.log(`| ${name} | ${cells.join(' | ')} |`)
}
