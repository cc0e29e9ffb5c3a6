import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sqlite } from '@waybill/sqlite'
import { expect, test } from 'vitest'
import { databaseJobStore } from '../database/database-job-store.ts'

const script = fileURLToPath(new URL('scheduler.fixture.ts', import.meta.url))

test('of two schedulers that are killed in turns no run is missing and none is made twice', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-schedulers-'))
  const path = join(folder, 'jobs.db')
  const children: ChildProcess[] = []
  const start = async () => {
    const child = spawn(process.execPath, ['--conditions=@waybill/source', script, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(child)
    await once(child.stdout, 'data')
    return child
  }
  try {
    await using database = sqlite({ path })
    await database.migrate()
    const store = databaseJobStore(database)
    let running = [await start(), await start()]
    for (let turn = 0; turn < 4; turn += 1) {
      const [oldest, other] = running
      oldest?.kill('SIGKILL')
      running = [...(other === undefined ? [] : [other]), await start()]
    }
    for (const child of running) child.kill('SIGKILL')
    const rows = await store.list({ name: 'tick' }, 100_000)
    const times = rows
      .map(({ id }) => new Date(id.slice('schedule:ticks:'.length)).getTime())
      .sort((one, other) => one - other)
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0))
    expect(gaps.length).toBeGreaterThan(10)
    expect(new Set(gaps)).toEqual(new Set([100]))
  } finally {
    for (const child of children) child.kill('SIGKILL')
    rmSync(folder, { recursive: true })
  }
})
