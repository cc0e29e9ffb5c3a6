import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, defineMessage, defineTopic } from '@waybill/core'
import { afterAll, expect, test } from 'vitest'
import { z } from 'zod'
import { waybill as runIn, type Terminal } from './run.fixture.ts'

const folder = await mkdtemp(join(tmpdir(), 'waybill-cli-test-'))
afterAll(() => rm(folder, { recursive: true }))

await writeFile(join(folder, 'secrets.json'), '{ "native": { "redis": { "password": s3cret } } }')

const waybill = (line: string, terminal?: Terminal) => runIn(line, folder, terminal)

test.each([
  ['topics', /No broker is named/],
  ['topcs --url memory:', /unknown command 'topcs' \(Did you mean topics\?\)/],
  ['stats --url memory: --colour red', /unknown option '--colour'/],
  ['dead show orders --url memory:', /missing required argument 'group'/],
  ['topics --url nonsense', /Invalid connect options: url: /],
  ['topics --url redis://app:s3cret@ret@host', /need percent-encoding/],
  ['topics --url memory: --connect-timeout soon', /duration such as/],
  ['topics --url memory: --native memory', /--native expects/],
  ['topics --url memory: --options nowhere.json', /cannot be read as JSON/],
  ['stats orders billing --url memory:', /no topic "orders" at the broker; there is no topic at all/],
  ['stats --url memory: --watch soon', /duration such as/],
  ['drain orders billing --url memory: --timeout soon', /duration such as/],
  ['tail orders --url memory: --count 0', /whole number/],
  ['seek orders billing --url memory:', /Say where to/],
  ['seek orders billing --url memory: --offset 1 --to latest', /Say where to/],
  ['seek orders billing --url memory: --to latest --partition 1', /belongs to --offset/],
  ['send orders --url memory: --data {}', /--type/],
  ['send orders x.ndjson --url memory: --type a --data {}', /either --data or a file/],
  ['send orders --url memory: --type a --id 1', /--id is for a single message/],
  ['send orders . --url memory:orders-here --type a', /The file \. cannot be read/],
  ['topics --options secrets.json', /secrets\.json cannot be read as JSON: its syntax is wrong/],
  ['dead replay orders billing --url memory:', /Say which letters/],
  ['dead discard orders billing a --all --url memory:', /in one way/],
  ['dead edit-and-replay orders billing a --data 1 --set a=1 --url memory:', /in one way/],
  ['dead edit-and-replay orders billing a --content-type x --url memory:', /belongs to --body-file/],
  ['plan --url memory:', /--definitions/],
  [
    'apply --url memory: --definitions ./nowhere.mjs',
    /\.\/nowhere\.mjs of --definitions could not be loaded: Cannot find module/,
  ],
  ['doctor --url memory: --requires magic', /no feature "magic"; there are ordered, /],
  ['bridge orders --to memory:', /--from <url>/],
  ['bridge orders --from memory: --to memory:', /give each a name/],
  ['bridge orders --from memory: --to memory: --group a --as-group b', /not both/],
  ['bridge orders --from memory: --to redis://app:s3cret@ret@host', /percent-encoding/],
  ['completion elvish', /Allowed choices are/],
])('%s is refused in one sentence', async (line, sentence) => {
  await using _ = await connect({ url: 'memory:orders-here', topics: [defineTopic('orders')] })
  const { code, stdout, stderr } = await waybill(line)
  expect(stderr).toMatch(sentence)
  expect(stderr.trim().split('\n')).toHaveLength(1)
  expect(stderr).toMatch(/^waybill: /)
  expect(stderr).not.toMatch(/s3cret/)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
})

test('bridge moves what waits, and says how much', async () => {
  const orders = defineTopic('orders', { groups: ['billing'] })
  const Placed = defineMessage(orders, 'order.placed', { schema: z.object({ n: z.number() }) })
  await using from = await connect({ url: 'memory:cli-from', topics: [orders] })
  await using to = await connect({ url: 'memory:cli-to' })
  const ids: string[] = []
  for (const n of [1, 2, 3]) ids.push((await from.producer().send(Placed, { n })).id)
  const line =
    'bridge orders --from memory:cli-from --to memory:cli-to --from-name one --to-name two --as-group billing --once --quiet 50ms'
  const { code, stdout } = await waybill(line)
  expect({ code, ...JSON.parse(stdout) }).toMatchObject({
    code: 0,
    topic: 'orders',
    group: 'billing',
    moved: 3,
    lag: 0,
  })
  const moved: string[] = []
  await to
    .consumer('billing')
    .on(Placed, ({ id }) => void moved.push(id))
    .start()
  await expect.poll(() => moved).toEqual(ids)
})

test('a module without definitions is refused by name', async () => {
  await writeFile(join(folder, 'empty.mjs'), 'export const answer = 42\n')
  const { code, stderr } = await waybill('plan --url memory: --definitions ./empty.mjs')
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: expect.stringMatching(/exports nothing that defineTopic/),
  })
})

test('a broker that is away is told within the time that was given', async () => {
  const { code, stderr } = await waybill(
    'topics --url redis://app:s3cret@127.0.0.1:1 --connect-timeout 300ms',
  )
  expect(code).toBe(3)
  expect(stderr).toMatch(/^waybill: No connection to redis at 127\.0\.0\.1:1 within 300 ms/)
  expect(stderr).not.toMatch(/s3cret/)
})

test('an adapter that is not installed is told with the command that installs it', async () => {
  const { code, stderr } = await waybill('topics --url nats://localhost')
  expect(code).toBe(3)
  expect(stderr).toMatch(/No adapter is known for "nats:"/)
})

test('every command has a help with examples', async () => {
  const { code, stdout } = await waybill('--help')
  expect(code).toBe(0)
  const names = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name ?? '')
  const own = names.filter((name) => !['help', 'completion', 'dead', 'jobs'].includes(name))
  expect(own).toHaveLength(11)
  const dead = ['list', 'show', 'replay', 'edit-and-replay', 'discard', 'export', 'import'].map(
    (name) => `dead ${name}`,
  )
  const jobs = ['stats', 'list', 'show', 'retry', 'cancel', 'promote', 'schedules'].map(
    (name) => `jobs ${name}`,
  )
  for (const name of [...own, ...dead, ...jobs]) {
    const help = await waybill(`${name} --help`)
    expect(help.code).toBe(0)
    expect(help.stdout, name).toMatch(/Examples:\n {2}\$ waybill/)
  }
})

test('the doctor finds nothing wrong with memory, and says what it found to people on a terminal', async () => {
  const { code, stdout } = await waybill('doctor --url memory: --requires seek', { isTTY: true })
  expect(stdout).toMatch(/^ok +replay +/m)
  expect(stdout).toMatch(/^ok +remove the topic +/m)
  expect(stdout).not.toMatch(/^(failed|skipped) +(?!clock)/m)
  expect(code).toBe(0)
})

test('nothing is listed as nothing: no rows, and no error', async () => {
  expect(await waybill('topics --url memory:')).toEqual({ code: 0, stdout: '', stderr: '' })
})
