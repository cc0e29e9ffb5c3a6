import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { redisJobStore } from '@waybill/adapter-redis/jobs'
import { databaseJobStore, defineJob, type JobStore, openJobs } from '@waybill/jobs'
import { postgres } from '@waybill/postgres'
import { sqlite } from '@waybill/sqlite'
import { afterAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { waybill } from '../../run.fixture.ts'

const folder = await mkdtemp(join(tmpdir(), 'waybill-cli-jobs-'))
afterAll(() => rm(folder, { recursive: true }))

const SendMail = defineJob('send-mail', {
  input: z.object({ to: z.string() }),
  output: z.string(),
  retry: { attempts: 1 },
})

interface Place {
  readonly store: JobStore
  /** What the command line is given. */
  readonly given: string
  close(): Promise<void>
}

const { TEST_REDIS: redisUrl, TEST_POSTGRES: postgresUrl } = process.env
const run = Date.now().toString(36)

const places: readonly (readonly [name: string, open: () => Promise<Place>])[] = [
  [
    'SQLite',
    async () => {
      const database = sqlite({ path: join(folder, 'jobs.db') })
      await database.migrate()
      return {
        store: databaseJobStore(database),
        given: '--store sqlite:jobs.db',
        close: () => database.close(),
      }
    },
  ],
  ...(postgresUrl === undefined
    ? []
    : [
        [
          'PostgreSQL',
          async () => {
            const schema = `cli_${run}`
            const database = postgres({ url: postgresUrl, schema })
            await database.migrate()
            const given = `--store ${postgresUrl} --schema ${schema}`
            return { store: databaseJobStore(database), given, close: () => database.close() }
          },
        ] as const,
      ]),
  ...(redisUrl === undefined
    ? []
    : [
        [
          'Redis',
          async () => {
            const store = redisJobStore(redisUrl, { store: `cli_${run}` })
            return { store, given: `--store ${redisUrl} --store-name cli_${run}`, close: () => store.close() }
          },
        ] as const,
      ]),
]

describe.each(places)('%s', (_, open) => {
  test('jobs are counted, listed, shown, and changed by hand', async () => {
    const { store, given, close } = await open()
    const jobs = openJobs({ store })
    const worker = jobs.worker().handle(SendMail, ({ data: { to } }, { log }) => {
      log(`to ${to}`)
      if (to === 'nobody') throw new TypeError('no such\u001b[31m address')
      return 'sent'
    })
    await worker.start()
    await (await jobs.add(SendMail, { to: 'a' }, { id: 'a' })).result()
    await (await jobs.add(SendMail, { to: 'nobody' }, { id: 'b' })).result().catch(() => {})
    await worker.stop()
    await jobs.add(SendMail, { to: 'c' }, { id: 'c', delay: '1h' })
    await jobs.schedules.upsert('daily', { cron: '0 8 * * *', timeZone: 'Europe/Berlin' }, SendMail, {
      to: 'all',
    })
    const people = (line: string) => waybill(`jobs ${line} ${given} --no-json`, folder)
    const json = async (line: string) => {
      const { stdout, code } = await waybill(`jobs ${line} ${given}`, folder)
      return {
        code,
        rows: stdout
          .trim()
          .split('\n')
          .map((text) => JSON.parse(text)),
      }
    }

    expect((await json('stats')).rows).toMatchObject([{ completed: 1, failed: 1, delayed: 1, waiting: 0 }])
    expect((await json('stats other')).rows).toMatchObject([{ completed: 0, failed: 0 }])
    expect((await json('list')).rows).toMatchObject([{ id: 'c' }, { id: 'b' }, { id: 'a' }])
    expect((await json('list --limit 2')).rows).toHaveLength(2)
    expect((await json('list send-mail --state failed')).rows).toMatchObject([
      { id: 'b', name: 'send-mail', attempt: 1, attempts: 1, error: { name: 'TypeError' }, parent: null },
    ])
    const table = await people('list --state failed')
    expect(table.stdout).toMatch(
      /^JOB +NAME +STATE[\s\S]*\nb +send-mail +failed +1 of 1 .*TypeError: no such/,
    )
    expect(table.stdout).not.toContain('\u001b[31m')
    expect(await people('list --state active')).toMatchObject({ stdout: '', code: 0 })

    expect((await json('show b')).rows).toMatchObject([
      { data: { to: 'nobody' }, history: [{ attempt: 1, outcome: 'failed' }], log: [{ text: 'to nobody' }] },
    ])
    expect((await people('show a')).stdout).toMatch(
      /result +"sent"[\s\S]*attempt 1, .*: completed[\s\S]*to a/,
    )
    expect(await people('show no\u001b[31mbody')).toMatchObject({
      code: 2,
      stderr: 'waybill: There is no job "nobody", or no longer\n',
    })

    expect(await people('retry a x\u001b[31m')).toMatchObject({
      code: 1,
      stdout: '0 jobs were retried. a is completed. There is no job x.\n',
    })
    expect((await json('retry --all --name other')).rows).toEqual([{ retried: 0 }])
    expect((await json('retry --all')).rows).toEqual([{ retried: 1 }])
    expect((await json('promote c')).rows).toEqual([{ promoted: 1, refused: [] }])
    expect((await json('cancel c a')).rows).toEqual([
      { cancelled: 1, refused: [{ id: 'a', state: 'completed' }] },
    ])
    expect(await jobs.counts()).toMatchObject({ waiting: 1, cancelled: 1, completed: 1 })

    expect((await json('schedules')).rows).toMatchObject([
      { id: 'daily', cron: '0 8 * * *', isPaused: false },
    ])
    expect((await json('schedules --pause daily')).rows).toEqual([{ id: 'daily', paused: true }])
    expect((await people('schedules')).stdout).toMatch(
      /daily +send-mail +0 8 \* \* \*, Europe\/Berlin +– +paused/,
    )
    expect((await people('schedules --resume daily')).stdout).toBe('The schedule daily is resumed.\n')
    expect((await people('schedules --remove daily')).stderr).toMatch(/Remove the schedule daily\? .*--yes/)
    expect((await json('schedules --remove daily --yes')).rows).toEqual([{ id: 'daily', removed: true }])
    expect((await json('schedules --remove daily --yes')).code).toBe(1)
    await jobs.close()
    await close()
  })
})

test.each([
  ['jobs stats', /No store of jobs is named; give --store/],
  ['jobs stats --store kafka://host', /no such URL/],
  ['jobs stats --store sqlite:nowhere.db', /There is no file .*nowhere\.db/],
  ['jobs stats --store redis://host --schema a', /--schema means nothing to jobs at a redis: URL/],
  ['jobs stats --store postgres://host/a --store-name b', /--store-name means nothing/],
  ['jobs list --state done --store sqlite:a.db', /Allowed choices are/],
  ['jobs retry --store sqlite:a.db', /Say which jobs/],
  ['jobs retry a --all --store sqlite:a.db', /Say which jobs/],
  ['jobs retry --name a --store sqlite:a.db', /add it/],
  ['jobs cancel --store sqlite:a.db', /missing required argument/],
  ['jobs schedules --pause a --resume b --store sqlite:a.db', /Give one of/],
])('%s is refused in one sentence', async (line, sentence) => {
  const { code, stderr, stdout } = await waybill(line, folder)
  expect(stderr).toMatch(sentence)
  expect(stderr.trim().split('\n')).toHaveLength(1)
  expect([code, stdout]).toEqual([2, ''])
})

test('a store that is away, or without tables, is told in one sentence, without its password', async () => {
  const away = await waybill('jobs stats --store redis://app:s3cret@127.0.0.1:1', folder)
  expect(away).toMatchObject({ code: 3, stdout: '' })
  expect(away.stderr).toMatch(/^waybill: [^\n]+\n$/)
  expect(away.stderr).not.toContain('s3cret')
  const others = new DatabaseSync(join(folder, 'others.db'))
  others.exec('CREATE TABLE things (id integer)')
  others.close()
  const before = await readFile(join(folder, 'others.db'))
  for (const command of ['stats', 'retry --all']) {
    const without = await waybill(`jobs ${command} --store sqlite:others.db`, folder)
    expect(without.code).toBe(2)
    expect(without.stderr).toMatch(/^waybill: [^\n]*migrate[^\n]*\n$/)
  }
  expect(await readFile(join(folder, 'others.db'))).toEqual(before)
})
