import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { siblingModule } from '../../children/sibling-module.ts'
import { bundle, Program } from '../programs/program.ts'
import { chooseSeed, killCount, randomFrom } from '../programs/random.ts'
import { BridgeCommands } from './bridge-command.ts'
import { Cargo } from './cargo.ts'
import type { End, EndName, Ends } from './ends.ts'

/** Two bridges of one group, one of which is killed again and again, while messages of all kinds are sent. */
export function bridgeKills(ends: Ends, from: EndName, to: EndName, part: string): Case {
  return {
    number: 220,
    part,
    title: `Bridges from ${from} to ${to}, killed under load, lose nothing, change nothing and keep the order of keys`,
    timeoutMs: 600_000,
    async run(context) {
      const cargo = await Cargo.open(context, ends[from], ends[to])
      const path = await bundle(context, siblingModule(import.meta.url, 'bridge-program'))
      const settings = { from: plain(ends[from]), to: plain(ends[to]), topics: cargo.names, lease: '2s' }
      const programs = await killAgainAndAgain(context, cargo, {
        start: () => new Program(path, settings),
        name: `bridge from ${from} to ${to}`,
        usualKills: 13,
      })
      assert.deepEqual(await Promise.all(programs.map((program) => program.end())), [0, 0])
    },
  }
}

/** The same with `waybill bridge`, which is killed while it starts, too. */
export function commandKills(ends: Ends, from: EndName, to: EndName, part: string): Case {
  return {
    number: 226,
    part,
    title: `waybill bridge from ${from} to ${to}, killed at any moment, loses nothing, changes nothing and keeps the order of keys`,
    timeoutMs: 900_000,
    async run(context) {
      const cargo = await Cargo.open(context, ends[from], ends[to])
      const commands = await BridgeCommands.between(context, ends[from], ends[to])
      const [one, other] = await killAgainAndAgain(context, cargo, {
        start: () => commands.start([...cargo.names, '--lease', '2s']),
        name: `waybill bridge from ${from} to ${to}`,
        usualKills: 8,
        whileStarting: true,
      })
      const codes = [await one?.end('SIGTERM'), await other?.end('SIGINT')]
      assert.deepEqual(codes, [143, 130])
    },
  }
}

interface Bridging {
  /** Resolves when it has its group. */
  readonly ready: Promise<void>
  /** Resolves when it is gone. */
  kill(): Promise<unknown>
}

interface Killing<One> {
  readonly start: () => One
  readonly name: string
  readonly usualKills: number
  /** Whether some are killed before they are ready. */
  readonly whileStarting?: boolean
}

/** Two at a time; one of them is killed and replaced. Resolves with the last two, once everything that was sent has arrived. */
async function killAgainAndAgain<One extends Bridging>(
  context: CaseContext,
  cargo: Cargo,
  { start, name, usualKills, whileStarting = false }: Killing<One>,
): Promise<readonly One[]> {
  let running = [start(), start()]
  context.defer(() => Promise.all(running.map((each) => each.kill())))
  // Both have their group: from here on nothing is missed.
  await Promise.all(running.map(({ ready }) => ready))
  cargo.load()
  const seed = chooseSeed()
  const random = randomFrom(seed)
  const kills = killCount(usualKills)
  for (let kill = 0; kill < kills; kill += 1) {
    const [victim, ...others] = running
    if (!whileStarting || random() < 0.7) await victim?.ready
    await sleep(random() * 1500)
    await victim?.kill()
    running = [...others, start()]
  }
  await cargo.arrive()
  const { sent, duplicates } = cargo
  console.log(`  ${name}: ${kills} kills, seed ${seed}: ${sent} messages, ${duplicates} duplicates`)
  await Promise.all(running.map(({ ready }) => ready))
  return running
}

function plain({ name, url, native }: End): End {
  return { name, url, native }
}
