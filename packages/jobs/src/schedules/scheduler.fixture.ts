/** A process that lets the schedules of a SQLite file run until it is killed, and tells when it has begun. */
import { connect } from '@waybill/core'
import { sqlite } from '@waybill/sqlite'
import { z } from 'zod'
import { databaseJobStore } from '../database/database-job-store.ts'
import { defineJob } from '../definition.ts'
import { openJobs } from '../jobs.ts'

const Tick = defineJob('tick', { input: z.object({}) })
const [, , path = ''] = process.argv
const database = sqlite({ path })
const bus = await connect({ url: 'memory:', console: false })
const jobs = openJobs({ bus, store: databaseJobStore(database), poll: '50ms' })
await jobs.schedules.upsert('ticks', { every: '100ms', missed: 'all' }, Tick, {})
console.log('begun')
