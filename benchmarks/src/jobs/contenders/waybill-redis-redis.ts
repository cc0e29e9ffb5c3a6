import { redisJobStore } from '@waybill/adapter-redis/jobs'
import type { JobContender } from '../job-contender.ts'
import { waybillQueue } from './waybill-queue.ts'

export const contender: JobContender = {
  guarantees: 'As waybill-redis, handed out by messages over Redis.',
  async setup({ redis }) {
    const store = redisJobStore(redis, { store: 'bench-messages' })
    const queue = await waybillQueue(redis, store, 'bench-messages')
    return {
      ...queue,
      async teardown() {
        await queue.teardown()
        await store.close()
      },
    }
  },
}
