import assert from 'node:assert/strict'
import { MessagingError } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import type { Servers } from './servers.ts'

const noAddress = 'the containers are not reached at their own addresses'

async function addressOf(context: CaseContext, servers: Servers): Promise<string> {
  return (await servers.address()) ?? context.skip(noAddress)
}

/** A master and its replicas, each with an append-only file; the master's port is the first. */
async function startReplicated(servers: Servers, address: string, replicas: number): Promise<number[]> {
  const master = servers.nextPort()
  await servers.start(master, { appendonly: 'yes' })
  const ports = Array.from({ length: replicas }, () => servers.nextPort())
  await Promise.all(
    ports.map((port) => servers.start(port, { appendonly: 'yes', replicaof: `${address} ${master}` })),
  )
  await servers.until('the replicas to be in step', async () => {
    const info = await servers.cli(`-p ${master} info replication`)
    return info.split('state=online').length - 1 === replicas
  })
  return [master, ...ports]
}

export const durability = (servers: Servers): readonly Case[] => [
  {
    number: 208,
    part: 'a',
    title: 'A send that waits for a replica fails while none has it, holds up nobody else, and goes on later',
    async run(context) {
      const address = await addressOf(context, servers)
      const [master = 0, replica = 0] = await startReplicated(servers, address, 1)
      // The file is synced every second.
      const careful = { durability: { replicas: 1, appendOnly: true, timeout: 2500 } }
      const groups = [context.unique('group')]
      const connect = { url: `redis://${address}:${master}` }
      const stage = await context.stage({ connect, topic: { groups, native: { redis: careful } } })
      const plain = await context.stage({ bus: stage.bus })
      const recorders = [context.recorder(), context.recorder()]
      for (const [index, each] of [stage, plain].entries())
        await each.consume(recorders[index] ?? context.recorder())
      const before = await stage.send(20)
      await servers.signal(replica, 'STOP')
      const error = await stage.sendOne({ timeout: 4000 }).then(
        () => assert.fail('no replica has it'),
        (thrown: unknown) => thrown,
      )
      assert.ok(MessagingError.is(error))
      assert.equal(error.fate, 'unknown')
      assert.match(error.message, /0 of 1 replicas/)
      const waiting = stage.sendOne()
      const others = await plain.send(50)
      await context.exactly(recorders[1] ?? context.recorder(), others)
      await servers.signal(replica, 'CONT')
      const after = [await waiting, ...(await stage.send(20))]
      await context.eventually('what was confirmed has arrived', () =>
        [...before, ...after].every((message) => (recorders[0]?.of(message).length ?? 0) > 0),
      )
    },
  },
  {
    number: 209,
    title: 'When Sentinel promotes a replica, both sides go on, and what a replica had confirmed arrives',
    timeoutMs: 120_000,
    async run(context) {
      const address = await addressOf(context, servers)
      const [master = 0] = await startReplicated(servers, address, 2)
      const sentinel = servers.nextPort()
      await servers.startSentinel(sentinel, master)
      await servers.until('the Sentinel to know both replicas', async () =>
        (await servers.cli(`-p ${sentinel} sentinel master main`)).includes('num-slaves\n2'),
      )
      const redis = { durability: { replicas: 1 }, requestTimeout: '2500ms', connectTimeout: '2s' } as const
      const connect = { url: `redis://${address}:${sentinel}?sentinel=main`, native: { redis } }
      const stage = await context.stage({ connect, topic: { groups: [context.unique('group')] } })
      const recorder = context.recorder()
      await stage.consume(recorder)
      const sending = Array.from({ length: 8 }, async (_, sender) => {
        const sent = []
        for (let n = 0; n < 150; n += 1) {
          sent.push(await stage.sendOne({ timeout: 60_000 }))
          if (sender === 0 && n === 40) await servers.signal(master, 'KILL')
        }
        return sent
      })
      const sent = (await Promise.all(sending)).flat()
      await context.eventually(
        'everything has arrived',
        () => new Set(recorder.ids).size >= sent.length && sent.every(({ id }) => recorder.ids.includes(id)),
        context.pace(30_000),
        () => recorder.deliveries.length,
      )
      const { details } = (await stage.bus.health()).driver
      assert.equal(details.role, 'master')
    },
  },
]
