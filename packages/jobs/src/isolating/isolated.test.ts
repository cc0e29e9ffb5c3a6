import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@waybill/core'
import { afterAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineJob } from '../definition.ts'
import { openJobs } from '../jobs.ts'
import { memoryJobStore } from '../memory/memory-job-store.ts'
import { until } from '../stores.fixture.ts'
import { isolated } from './isolated.ts'

const folder = mkdtempSync(join(tmpdir(), 'waybill-isolated-'))
afterAll(() => rmSync(folder, { recursive: true }))

const Busy = defineJob('busy', {
  input: z.object({ path: z.string(), text: z.string() }),
  output: z.string(),
  progress: z.string(),
  retry: { attempts: 1 },
})
const module = new URL('busy.fixture.ts', import.meta.url)

for (const place of ['thread', 'process'] as const) {
  describe(place, () => {
    test('a busy handler leaves the event loop of its worker free', async () => {
      await using bus = await connect({ url: 'memory:', console: false })
      await using jobs = openJobs({ bus, store: memoryJobStore() })
      const worker = jobs
        .worker({ concurrency: 2 })
        .handle(Busy, isolated(module, { in: place, killAfter: 10 }))
      await worker.start()
      const path = join(folder, place)
      const [first, second] = await jobs.addBulk(Busy, [
        { data: { path, text: 'a' } },
        { data: { path, text: 'b' } },
      ])
      // Both are busy at once, and this process goes on.
      await until(
        async () => (await first?.get())?.progress === 'busy' && (await second?.get())?.progress === 'busy',
      )
      writeFileSync(path, '')
      expect([await first?.result(), await second?.result()]).toEqual(['A', 'B'])
      expect((await first?.get())?.log).toMatchObject([{ text: 'waiting for a' }])
      // What throws fails the attempt, and what ends the thread or process does.
      const never = await jobs.add(Busy, { path, text: 'never' })
      await expect(never.result()).rejects.toMatchObject({
        error: { name: 'PermanentError', message: 'never' },
      })
      const exit = await jobs.add(Busy, { path, text: 'exit' })
      await expect(exit.result()).rejects.toThrow('ended with code 3')
      // One that cannot hear of its cancelling is ended.
      const endless = await jobs.add(Busy, { path: join(folder, 'missing'), text: 'c' })
      await until(async () => (await endless.get())?.progress === 'busy')
      expect(await endless.cancel()).toBe(true)
      const after = await jobs.add(Busy, { path, text: 'd' })
      expect(await after.result()).toBe('D')
    })
  })
}
