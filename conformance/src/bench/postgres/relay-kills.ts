import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import { connect, defineTopic } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { entryOf, Ledger } from './ledger.ts'
import { bundle, Program } from './program.ts'
import { chooseSeed, killCount, randomFrom } from './random.ts'
import { openDatabase, type Servers } from './servers.ts'

const writers = 4
const keysOfWriter = 5

/** An outbox that is being filled, relays in other processes, and a consumer with an inbox. */
async function openFlow(context: CaseContext, servers: Servers, busUrl: string) {
  const path = await bundle(context, 'relay-program')
  const { database, schema } = await openDatabase(context, servers)
  const ledger = new Ledger(database)
  await ledger.create()
  const topic = defineTopic(context.unique('entries'), { ordered: true, partitions: 4, groups: ['ledger'] })
  const definition = entryOf(topic)
  const bus = await connect({ url: busUrl, console: false, topics: [topic] })
  context.defer(() => bus.close())
  const inbox = database.inbox()
  let duplicates = 0
  await bus
    .consumer('ledger', { concurrency: 16 })
    .on(definition, async ({ data }, handling) => {
      const { outcome } = await inbox.once(handling, (transaction) => ledger.enter(transaction, data))
      if (outcome === 'duplicate') duplicates += 1
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
    start: () => new Program(path, { url: servers.postgres.url, schema, busUrl }),
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
      return { sent, duplicates }
    },
  }
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
      let programs = [flow.start(), flow.start()]
      context.defer(() => Promise.all(programs.map((program) => program.kill())))
      for (let kill = 0; kill < kills; kill += 1) {
        const [victim, ...others] = programs
        await victim?.ready
        await setTimeout(random() * 1000)
        await victim?.kill()
        programs = [...others, flow.start()]
      }
      const { sent, duplicates } = await flow.check()
      console.log(
        `  relay over ${broker}: ${kills} kills, seed ${seed}: ${sent} messages, ${duplicates} duplicates removed`,
      )
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
