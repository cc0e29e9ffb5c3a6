import { databaseJobStore } from '@waybill/jobs'
import { postgres } from '@waybill/postgres'
import type { JobContender } from '../job-contender.ts'
import { waybillQueue } from './waybill-queue.ts'

export const contender: JobContender = {
  guarantees: 'As waybill-postgres, handed out by Redis, so that any number of processes work.',
  async setup({ postgres: url, redis }) {
    const database = postgres({ url, schema: 'waybill_redis' })
    await database.migrate()
    const queue = await waybillQueue(redis, databaseJobStore(database), 'bench-postgres')
    return {
      ...queue,
      async teardown() {
        await queue.teardown()
        await database.close()
      },
    }
  },
}
