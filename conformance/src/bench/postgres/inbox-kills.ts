import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import { connect, defineTopic } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import { siblingModule } from '../../children/sibling-module.ts'
import { bundle, Program } from '../programs/program.ts'
import { chooseSeed, killCount, randomFrom } from '../programs/random.ts'
import { entryOf, Ledger } from './ledger.ts'
import { openDatabase, type Servers } from './servers.ts'

/** Contract case 75, on a real database: the effect and its mark are both there, or neither. */
export function inboxKills(servers: Servers): Case {
  return {
    number: 75,
    title: 'Consumers killed at 200 random moments leave each message with exactly one effect',
    timeoutMs: 900_000,
    alone: true,
    async run(context) {
      const { database, schema } = await openDatabase(context, servers)
      const ledger = new Ledger(database)
      await ledger.create()
      const seed = chooseSeed()
      const random = randomFrom(seed)
      const kills = killCount(200)
      const group = 'ledger'
      const topic = defineTopic(context.unique('entries'), { groups: [group] })
      const bus = await connect({ url: servers.rabbitmq, console: false, topics: [topic] })
      context.defer(() => bus.close())
      const producer = bus.producer()
      let sent = 0
      let isOver = false
      const sending = (async () => {
        while (!isOver) {
          if (sent - (await ledger.count()) > 500) await setTimeout(50)
          else {
            const entries = Array.from({ length: 100 }, (_, index) => ({ key: 'any', n: sent + index + 1 }))
            await producer.sendBatch(entryOf(topic), entries)
            sent += entries.length
          }
        }
      })()
      sending.catch(() => {})
      context.defer(() => {
        isOver = true
        return sending.catch(() => {})
      })
      const path = await bundle(context, siblingModule(import.meta.url, 'inbox-program'))
      const settings = {
        url: servers.postgres.url,
        schema,
        busUrl: servers.rabbitmq,
        topic: topic.name,
        group,
      }
      const start = () => new Program(path, settings)
      let programs = [start(), start()]
      context.defer(() => Promise.all(programs.map((program) => program.kill())))
      let counts = 0
      for (let kill = 0; kill < kills; kill += 1) {
        const [victim, ...others] = programs
        await victim?.ready
        await setTimeout(random() * 150)
        await victim?.kill()
        programs = [...others, start()]
        const count = await ledger.count()
        if (count > counts) counts = count
      }
      isOver = true
      await sending
      await context.eventually('all have their effect', async () => (await ledger.count()) >= sent, 300_000)
      await context.quiet()
      const numbers = (await ledger.entries()).map(({ n }) => n)
      console.log(`  inbox: ${kills} kills, seed ${seed}: ${sent} messages, ${numbers.length} effects`)
      assert.equal(new Set(numbers).size, sent, 'some messages have no effect')
      assert.equal(numbers.length, sent, 'some messages have several effects')
      assert.equal(await ledger.total(), (sent * (sent + 1)) / 2)
      assert.ok(counts > 0, 'nothing was handled between the kills')
    },
  }
}
