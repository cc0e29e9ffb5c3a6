import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import { connect, defineTopic } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { siblingModule } from '../../children/sibling-module.ts'
import { bundle, Program } from '../programs/program.ts'
import { chooseSeed, killCount, randomFrom } from '../programs/random.ts'
import { type Moment, moments } from './dying-pool.ts'
import { entryOf, Ledger } from './ledger.ts'
import { openDatabase, type Servers } from './servers.ts'

const writers = 4
const keysOfWriter = 5

/** An outbox that is being filled, relays in other processes, and a consumer with an inbox. */
async function openFlow(context: CaseContext, servers: Servers, busUrl: string) {
  const path = await bundle(context, siblingModule(import.meta.url, 'relay-program'))
  const { database, schema } = await openDatabase(context, servers)
  const ledger = new Ledger(database)
  await ledger.create()
  const topic = defineTopic(context.unique('entries'), {
    ordered: true,
    partitions: 4,
    groups: ['ledger', 'tally'],
  })
  const definition = entryOf(topic)
  const bus = await connect({ url: busUrl, console: false, topics: [topic] })
  context.defer(() => bus.close())
  const inbox = database.inbox()
  let removed = 0
  await bus
    .consumer('ledger', { concurrency: 16 })
    .on(definition, async ({ data }, handling) => {
      const { outcome } = await inbox.once(handling, (transaction) => ledger.enter(transaction, data))
      if (outcome === 'duplicate') removed += 1
    })
    .start()
  // What the broker has, by message.
  const tally = new Map<string, number>()
  await bus
    .consumer('tally', { concurrency: 16 })
    .on(definition, ({ id }) => {
      tally.set(id, (tally.get(id) ?? 0) + 1)
    })
    .start()
  const outbox = database.outbox()
  let sent = 0
  let isOver = false
  // Each has keys of its own, so that it knows the order of their commits.
  const write = async (writer: number) => {
    for (let n = 1; !isOver; n += 1) {
      await database.transaction((transaction) =>
        outbox.sendAll(
          transaction,
          Array.from({ length: keysOfWriter }, (_, index) => ({
            definition,
            data: { key: `${writer}-${index}`, n },
          })),
        ),
      )
      sent += keysOfWriter
      while (!isOver && sent - (await ledger.count()) > 500) await setTimeout(50)
    }
  }
  const writing = Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)))
  writing.catch(() => {})
  context.defer(() => {
    isOver = true
    return writing.catch(() => {})
  })
  return {
    database,
    outbox,
    start: (death: { readonly moment?: Moment; readonly n?: number } = {}) =>
      new Program(path, { url: servers.postgres.url, schema, busUrl, ...death }),
    /** Ends the writing, waits for all effects, and checks them. */
    async check() {
      isOver = true
      await writing
      await context.eventually('all have their effect', async () => (await ledger.count()) >= sent, 300_000)
      await context.eventually(
        'the outbox is empty',
        async () => (await outbox.stats()).waiting === 0,
        60_000,
      )
      const entries = await ledger.entries()
      const byKey = Map.groupBy(entries, ({ key }) => key)
      for (const [key, found] of byKey) {
        assert.deepEqual(
          found.map(({ n }) => n),
          found.map((_, index) => index + 1),
          `of the key ${key} some are missing, twice or out of order`,
        )
      }
      assert.equal(entries.length, sent)
      assert.equal((await outbox.stats()).parked, 0)
      await context.eventually('the broker has shown all of them', () => tally.size >= sent, 60_000)
      await context.quiet()
      const met = [...tally.values()].reduce((sum, count) => sum + count - 1, 0)
      return { sent, met, removed }
    },
  }
}

interface Death {
  /** Undefined: its parent kills it. */
  readonly moment: Moment | undefined
  /** The how-manieth time of the moment it does not survive, or milliseconds from its start. */
  readonly n: number
}

/** Half of the relays die at some time, the others between two instructions, most of them with a batch that the broker has. */
function drawDeath(random: () => number): Death {
  const [kind, when] = [random(), random()]
  const moment = kind < 0.25 ? 'confirmed' : moments[Math.floor((kind - 0.25) * 12)]
  return { moment, n: moment === undefined ? when * 1000 : 1 + Math.floor(when * 20) }
}

export function relayKills(servers: Servers, broker: 'rabbitmq' | 'kafka', part: string): Case {
  return {
    number: 201,
    part,
    title: `Relays over ${broker} killed under load lose nothing and keep the order of keys; the inbox removes duplicates`,
    timeoutMs: 900_000,
    alone: true,
    async run(context) {
      const flow = await openFlow(context, servers, servers[broker])
      const seed = chooseSeed()
      const random = randomFrom(seed)
      // All hundred take minutes: WAYBILL_KILLS=100.
      const kills = killCount(20)
      const startedAt = performance.now()
      const start = () => {
        const death = drawDeath(random)
        const { moment, n } = death
        return { death, program: moment === undefined ? flow.start() : flow.start({ moment, n }) }
      }
      let relays = [start(), start()]
      context.defer(() => Promise.all(relays.map(({ program }) => program.kill())))
      let confirmed = 0
      for (let kill = 0; kill < kills; kill += 1) {
        const [victim, ...others] = relays
        if (victim === undefined) break
        const { program, death } = victim
        if (death.moment === undefined) {
          await program.ready
          await setTimeout(death.n)
          await program.kill()
        } else {
          await context.within(`the relay dies when a batch is ${death.moment}`, program.exited, 60_000)
          if (death.moment === 'confirmed') confirmed += 1
        }
        relays = [...others, start()]
      }
      const seconds = Math.round((performance.now() - startedAt) / 1000)
      // Those that are left die in what is still to be sent.
      const last = flow.start()
      context.defer(() => last.kill())
      const { sent, met, removed } = await flow.check()
      console.log(
        `  relay over ${broker}: ${kills} kills in ${seconds} s, seed ${seed}, ${confirmed} of them with a batch at the broker and in the outbox: ${sent} messages, ${met} duplicates at the broker, ${removed} removed by the inbox`,
      )
      assert.ok(met >= confirmed, 'a batch that the broker had was not sent again')
      assert.ok(removed >= confirmed, 'the inbox has met fewer duplicates than there were')
    },
  }
}

export function relayStandsStill(servers: Servers): Case {
  return {
    number: 202,
    title: 'A relay that stands still loses its share to others, and does no harm when it goes on',
    timeoutMs: 300_000,
    alone: true,
    async run(context) {
      const flow = await openFlow(context, servers, servers.rabbitmq)
      const [still, other] = [flow.start(), flow.start()]
      context.defer(() => Promise.all([still.kill(), other.kill()]))
      await Promise.all([still.ready, other.ready])
      const owners = async () => {
        const rows = await flow.database.query<{ owner: string }>(
          `SELECT owner FROM ${flow.database.dialect.table('slots')} WHERE expires_at > clock_timestamp() GROUP BY owner`,
        )
        return rows.length
      }
      for (let round = 0; round < 3; round += 1) {
        await context.eventually('both have a share', async () => (await owners()) === 2, 60_000)
        still.suspend()
        await context.eventually('the other has it all', async () => (await owners()) === 1, 60_000)
        await context.eventually(
          'nothing waits for the one that stands still',
          async () => (await flow.outbox.stats()).oldestAgeMs < 10_000,
          60_000,
        )
        still.resume()
      }
      await flow.check()
    },
  }
}
