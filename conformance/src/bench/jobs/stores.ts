import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { redisJobStore } from '@waybill/adapter-redis/jobs'
import { openJobs } from '@waybill/jobs'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { Latch } from '../../case/latch.ts'
import { connectTo } from '../bridge/ends.ts'
import { runCommand } from '../brokers/run-command.ts'
import { plainly } from '../redis/plain-client.ts'
import type { Servers as RedisServers } from '../redis/servers.ts'
import type { Servers } from './servers.ts'
import { taskOf } from './tasks.ts'

const root = fileURLToPath(new URL('../../../../', import.meta.url))

/** The tests that every store passes, where the stores are servers. */
export function storeTests(servers: Servers): readonly Case[] {
  return [
    {
      number: 606,
      part: 'a',
      title: 'Stores in PostgreSQL and Redis pass the tests of all stores',
      timeoutMs: 180_000,
      run: () => runTests({ TEST_REDIS: servers.redis.url, TEST_POSTGRES: servers.postgres.url }),
    },
    {
      number: 606,
      part: 'b',
      title: 'A store in a cluster of Redis passes them, too',
      timeoutMs: 180_000,
      run: async (context) =>
        runTests({ TEST_REDIS: await (await redisServers(context, servers)).startCluster() }),
    },
  ]
}

async function runTests(environment: Readonly<Record<string, string>>): Promise<void> {
  const folders = ['packages/jobs', 'packages/adapter-redis/src/jobs', 'packages/cli/src/commands/jobs']
  const args = ['node_modules/vitest/vitest.mjs', 'run', ...folders]
  const output = await runCommand(process.execPath, [...args, '-t', 'Redis|PostgreSQL'], {
    cwd: root,
    environment: { ...environment, NO_COLOR: '1' },
    timeoutMs: 150_000,
  })
  const passed = Number(/Tests\s.*?(\d+) passed/.exec(output)?.[1] ?? 0)
  assert.ok(passed >= 25, output)
}

/** Redis without room. */
export function fullMemory(servers: Servers): Case {
  return {
    number: 607,
    title:
      'A Redis that may evict jobs is warned of; without room it refuses jobs, and those that are there go on',
    async run(context) {
      const redis = await redisServers(context, servers)
      const port = redis.nextPort()
      await redis.start(port, { maxmemory: '100mb', 'maxmemory-policy': 'allkeys-lru' })
      const url = `redis://${await redis.address()}:${port}`
      const limit = (bytes: string) => plainly(url, (client) => client.config('SET', 'maxmemory', bytes))
      const warnings: string[] = []
      const hear = ({ message }: Error) => warnings.push(message)
      process.on('warning', hear)
      context.defer(() => process.off('warning', hear))
      const store = redisJobStore(url)
      context.defer(() => store.close())
      const bus = await connectTo(context, servers.ends.redis)
      const jobs = openJobs({ bus, store })
      context.defer(() => jobs.close())
      const Task = taskOf(context.unique('task'))
      const [begun, room] = [new Latch(), new Latch()]
      const worker = jobs.worker().handle(Task, async (_, { attempt }) => {
        begun.open()
        await room.passed()
        return { attempt, children: [] }
      })
      await worker.start()
      const job = await jobs.add(Task, { kind: 'quick' })
      await context.within('it runs', begun.passed())
      await context.eventually('it warns', () =>
        warnings.some((each) => /allkeys-lru: when memory is full Redis may evict jobs/.test(each)),
      )
      await plainly(url, (client) => client.config('SET', 'maxmemory-policy', 'noeviction'))
      await limit('1')
      await assert.rejects(jobs.add(Task, { kind: 'quick' }), {
        code: 'rejected',
        retryable: true,
        message: /OOM/,
      })
      const { active, waiting } = await jobs.counts()
      assert.deepEqual([active, waiting], [1, 0])
      room.open()
      assert.equal((await job.result({ timeout: '30s' })).attempt, 1)
      await limit('0')
      assert.equal((await (await jobs.add(Task, { kind: 'quick' })).result({ timeout: '30s' })).attempt, 1)
    },
  }
}

async function redisServers(context: CaseContext, { redis, redisServers }: Servers): Promise<RedisServers> {
  if (!redis.canRestart || (await redisServers.address()) === undefined)
    context.skip('further servers are not reached at the address of their container')
  return redisServers
}
