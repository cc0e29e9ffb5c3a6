import { redisJobStore } from '@waybill/adapter-redis/jobs'
import type { JobContender } from '../job-contender.ts'
import { waybillQueue } from './waybill-queue.ts'

export const contender: JobContender = {
  guarantees:
    'Jobs in Redis, from where workers take them; data validated on both sides; a lease; history and result kept.',
  async setup({ redis }) {
    const store = redisJobStore(redis, { store: 'bench' })
    const queue = await waybillQueue(undefined, store, 'bench-redis')
    return {
      ...queue,
      async teardown() {
        await queue.teardown()
        await store.close()
      },
    }
  },
}
