import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Database, EventStore, Projection } from '@waybill/database'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { Latch } from '../../case/latch.ts'
import { countingOver } from './counting.ts'
import { happened, seenIn } from './seen.ts'
import { openDatabase, type Servers } from './servers.ts'

const streamsOf = async (events: EventStore, database: Database) =>
  (await events.readAll(database)).map(({ stream, streamVersion }) => `${stream} ${streamVersion}`)

/** All events, once nothing of other cases is running that holds them up. */
async function allOf(
  context: CaseContext,
  events: EventStore,
  database: Database,
  count: number,
): Promise<readonly string[]> {
  await context.eventually(
    `${count} events can be read`,
    async () => (await streamsOf(events, database)).length === count,
  )
  return await streamsOf(events, database)
}

/** What the event store and sagas promise where transactions do run at the same time. */
export function eventStoreCases(servers: Servers): readonly Case[] {
  return [
    {
      number: 211,
      title: 'Events that commit late are not overtaken in the order of all events',
      async run(context) {
        const { database } = await openDatabase(context, servers)
        const events = new EventStore(database)
        const [appended, end] = [new Latch(), new Latch()]
        context.defer(() => end.open())
        const slow = database.transaction(async (transaction) => {
          await events.append(transaction, 'slow', [happened(1)])
          appended.open()
          await end.passed()
        })
        await appended.passed()
        await database.transaction((transaction) => events.append(transaction, 'quick', [happened(2)]))
        assert.deepEqual(await streamsOf(events, database), [])
        end.open()
        await slow
        assert.deepEqual(await allOf(context, events, database, 2), ['slow 1', 'quick 1'])
      },
    },
    {
      number: 212,
      title: 'A stream keeps its order when a transaction that began first appends last',
      async run(context) {
        const { database } = await openDatabase(context, servers)
        const events = new EventStore(database)
        const [begun, goOn] = [new Latch(), new Latch()]
        context.defer(() => goOn.open())
        const early = database.transaction(async (transaction) => {
          await transaction.query('SELECT pg_current_xact_id()')
          begun.open()
          await goOn.passed()
          await events.append(transaction, 'a', [happened(2)])
        })
        await begun.passed()
        await database.transaction((transaction) => events.append(transaction, 'a', [happened(1)]))
        goOn.open()
        await early
        assert.deepEqual(await allOf(context, events, database, 2), ['a 1', 'a 2'])
      },
    },
    {
      number: 213,
      title:
        'Projections that share a name apply every event of many writers once, in the order of its stream',
      async run(context) {
        const { database, schema: place } = await openDatabase(context, servers)
        const events = new EventStore(database)
        const seen = seenIn(place)
        await seen.create(database)
        const members = [1, 2, 3].map(() => new Projection(events, seen.definition, { batch: 20, poll: 5 }))
        context.defer(() => Promise.all(members.map((member) => member.stop())))
        for (const member of members) member.start()
        const write = async (writer: number) => {
          for (let round = 0; round < 50; round += 1)
            await database.transaction(async (transaction) => {
              if ((round + writer) % 3 === 0) await transaction.query('SELECT pg_current_xact_id()')
              if ((round * writer) % 5 === 0) await sleep((round * 7 + writer) % 20)
              await events.append(transaction, `s-${(round + writer) % 10}`, [happened(round)])
              if ((round + writer) % 7 === 0) await sleep((round * 3 + writer) % 15)
            })
        }
        await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(write))
        await context.eventually('every event is applied', async () => (await seen.count(database)) === 400)
        assert.deepEqual(
          members.map((member) => member.health().state),
          ['running', 'running', 'running'],
        )
      },
    },
    {
      number: 214,
      title: 'Messages of one saga that meet each change it once, duplicates included',
      async run(context) {
        const { database } = await openDatabase(context, servers)
        const counter = countingOver(database)
        await Promise.all([1, 2, 3].map((n) => counter.start(`started-${n}`)))
        const twice = [...Array(10).keys(), ...Array(10).keys()]
        await Promise.all(twice.map((n) => counter.raise(`raised-${n}`)))
        const { data, version } = (await counter.state()) ?? {}
        assert.deepEqual([data?.count, version], [10, 11])
      },
    },
  ]
}
