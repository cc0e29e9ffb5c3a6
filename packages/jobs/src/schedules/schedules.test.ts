import { defineMessage, defineTopic } from '@waybill/core'
import { createTestBus } from '@waybill/core/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineJob } from '../definition.ts'
import { openJobs } from '../jobs.ts'
import { memoryJobStore } from '../memory/memory-job-store.ts'
import { stores, until } from '../stores.fixture.ts'
import { ScheduleBook } from './schedule-book.ts'

const Report = defineJob('report', { input: z.object({ to: z.string() }) })
const reports = defineTopic('reports', { groups: ['print'] })
const OrderReport = defineMessage(reports, 'report.ordered', { schema: z.object({ to: z.string() }) })

for (const testStore of stores()) {
  describe(testStore.name, () => {
    test('of many schedulers one makes the job of a run', async () => {
      const { jobs, store } = await testStore.open()
      await jobs.schedules.upsert('often', { every: '100ms', missed: 'all' }, Report, { to: 'all' })
      const schedulers = Array.from({ length: 4 }, () => new ScheduleBook(store, () => {}))
      await until(async () => {
        await Promise.all(schedulers.map((each) => each.run()))
        return (await jobs.list({ name: 'report' })).jobs.length >= 5
      })
      await jobs.schedules.pause('often')
      const [schedule] = await jobs.schedules.list()
      const times = (await jobs.list({ limit: 1000 })).jobs.map(({ id }) =>
        id.slice('schedule:often:'.length),
      )
      const moments = times.map((time) => new Date(time).getTime()).sort((one, other) => one - other)
      for (const [index, moment] of moments.slice(1).entries())
        expect(moment - (moments[index] ?? 0)).toBe(100)
      expect(schedule).toMatchObject({
        isPaused: true,
        nextAt: undefined,
        lastAt: new Date(moments.at(-1) ?? 0),
      })
    })

    test('a schedule that is made again keeps its time, and a changed one gets a new one', async () => {
      const { jobs, another } = await testStore.open()
      const daily = { cron: '0 0 8 * * *', timeZone: 'Europe/Berlin' }
      const first = await jobs.schedules.upsert('daily', daily, Report, { to: 'a' })
      const other = await another()
      const second = await other.schedules.upsert('daily', daily, Report, { to: 'b' })
      expect([second.nextAt, second.data]).toEqual([first.nextAt, { to: 'b' }])
      const hourly = await other.schedules.upsert('daily', { cron: '0 * * * *' }, Report, { to: 'b' })
      expect(hourly.nextAt?.getTime()).toBeLessThanOrEqual(Date.now() + 3_600_000)
      expect(await jobs.schedules.list()).toHaveLength(1)
      expect(await jobs.schedules.remove('daily')).toBe(true)
      expect(await jobs.schedules.remove('daily')).toBe(false)
      expect(await jobs.schedules.pause('daily')).toBe(false)
      const [next] = jobs.schedules.next({ cron: '0 0 1 1 *' })
      expect(next?.getUTCMonth()).toBe(0)
    })

    test('a job runs once at a date, and its schedule has no further run', async () => {
      const { jobs } = await testStore.open()
      const worker = jobs.worker().handle(Report, ({ data }) => data.to)
      await worker.start()
      const at = new Date(Date.now() + 100)
      await jobs.schedules.upsert('once', { at }, Report, { to: 'me' })
      const id = `schedule:once:${at.toISOString()}`
      await until(async () => (await jobs.get(id))?.state === 'completed')
      expect(await jobs.schedules.list()).toMatchObject([{ id: 'once', nextAt: undefined, lastAt: at }])
      await jobs.schedules.upsert('once', { at }, Report, { to: 'me' })
      expect(await jobs.schedules.list()).toMatchObject([{ nextAt: undefined }])
    })

    test('a schedule whose run has the id of another job is told of, and holds up nothing', async () => {
      const failures: string[] = []
      const { jobs } = await testStore.open({ onFailure: (what) => failures.push(what) })
      const Renamed = defineJob('renamed', { input: z.object({ to: z.string() }) })
      await jobs
        .worker()
        .handle(Report, ({ data }) => data.to)
        .handle(Renamed, ({ data }) => data.to)
        .start()
      const at = new Date(Date.now() + 20)
      await jobs.schedules.upsert('launch', { at }, Report, { to: 'all' })
      await until(async () => (await jobs.counts()).completed === 1)
      await jobs.schedules.remove('launch')
      await jobs.schedules.upsert('launch', { at }, Renamed, { to: 'all' })
      await jobs.schedules.upsert('other', { at: new Date(Date.now() + 20) }, Renamed, { to: 'others' })
      await until(async () => (await jobs.counts()).completed === 2)
      const job = await jobs.add(Report, { to: 'goes on' })
      expect(await job.result()).toBe('goes on')
      expect(failures).toEqual(['running a schedule'])
    })

    test('messages can be sent later, at times, and not at all', async () => {
      const { jobs, bus } = await testStore.open()
      if (!testStore.overBus) {
        await expect(jobs.send(OrderReport, { to: 'nobody' })).rejects.toThrow('bus: needed to send')
        await expect(
          jobs.schedules.upsert('at', { at: new Date() }, OrderReport, { to: 'all' }),
        ).rejects.toThrow('bus: needed to send')
        return
      }
      const printed: string[] = []
      const printer = bus
        .consumer('print')
        .on(OrderReport, ({ id, data }) => printed.push(`${id} ${data.to}`))
      await printer.start()
      await jobs.send(OrderReport, { to: 'nobody' }, { id: 'cancelled', delay: '1h' })
      expect(await jobs.cancel('cancelled')).toBe(true)
      await jobs.send(OrderReport, { to: 'soon' }, { id: 'delayed', delay: '50ms' })
      const at = new Date(Date.now() + 100)
      await jobs.schedules.upsert('at', { at }, OrderReport, { to: 'all' })
      await until(() => printed.length === 2)
      expect(printed.sort()).toEqual(['delayed soon', `schedule:at:${at.toISOString()} all`])
      await until(async () => (await jobs.get('delayed'))?.state === 'completed')
    })
  })
}

test('hours pass at once on a test bus', async () => {
  await using kit = await createTestBus()
  await using jobs = openJobs({ bus: kit.bus, store: memoryJobStore({ clock: kit.clock }) })
  const ran: string[] = []
  const worker = jobs.worker().handle(Report, ({ id, data }) => ran.push(`${id} ${data.to}`))
  await worker.start()
  await jobs.schedules.upsert('daily', { cron: '0 8 * * *' }, Report, { to: 'all' })
  await jobs.add(Report, { to: 'later' }, { id: 'later', delay: '8.5h' })
  await kit.advance('9h')
  expect(ran).toEqual(['schedule:daily:2026-01-01T08:00:00.000Z all', 'later later'])
  const stopped = worker.stop()
  await kit.advance('1m')
  await stopped
})
