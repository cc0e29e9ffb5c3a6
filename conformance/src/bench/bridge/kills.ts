import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Case } from '../../case/case.ts'
import { siblingModule } from '../../children/sibling-module.ts'
import { bundle, Program } from '../programs/program.ts'
import { chooseSeed, killCount, randomFrom } from '../programs/random.ts'
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
      const start = () => new Program(path, settings)
      let programs = [start(), start()]
      context.defer(() => Promise.all(programs.map((program) => program.kill())))
      // Both have their group: from here on nothing is missed.
      await Promise.all(programs.map(({ ready }) => ready))
      cargo.load()
      const seed = chooseSeed()
      const random = randomFrom(seed)
      const kills = killCount(13)
      for (let kill = 0; kill < kills; kill += 1) {
        const [victim, ...others] = programs
        await victim?.ready
        await sleep(random() * 1500)
        await victim?.kill()
        programs = [...others, start()]
      }
      await cargo.arrive()
      const { sent, duplicates } = cargo
      console.log(
        `  bridge from ${from} to ${to}: ${kills} kills, seed ${seed}: ${sent} messages, ${duplicates} duplicates`,
      )
      await Promise.all(programs.map(({ ready }) => ready))
      const codes = await context.within(
        'the bridges end when they are told to',
        Promise.all(programs.map((program) => program.end())),
      )
      assert.deepEqual(codes, [0, 0])
    },
  }
}

function plain({ name, url, native }: End): End {
  return { name, url, native }
}
