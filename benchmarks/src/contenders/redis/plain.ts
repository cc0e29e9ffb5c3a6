import type { Contender } from '../../contender.ts'
import { createGroup, entriesOf, group, remainingOf } from './stream.ts'

/** As ioredis' documentation has it: an XADD a message; reads of up to 100, handled together, an XACK a message. */
export const contender: Contender = {
  guarantees:
    'Each XADD is awaited; XACK a message after its handler. No reclaiming from dead consumers, no retries.',
  works: 'abcdeh',

  async setup({ url, name }) {
    const { Redis } = await import('ioredis')
    const redis = new Redis(url)
    await createGroup(redis, name)
    return {
      async send(event) {
        await redis.xadd(name, '*', 'data', JSON.stringify(event))
      },
      async consume(handle, concurrency) {
        const reader = redis.duplicate()
        let stopped = false
        const loop = async () => {
          while (!stopped) {
            const reply = await reader.xreadgroup(
              'GROUP',
              group,
              'consumer',
              'COUNT',
              concurrency,
              'BLOCK',
              500,
              'STREAMS',
              name,
              '>',
            )
            await Promise.all(
              entriesOf(reply).map(async ({ id, data }) => {
                await handle(JSON.parse(data))
                await redis.xack(name, group, id)
              }),
            )
          }
        }
        const looping = loop()
        return async () => {
          stopped = true
          await looping
          await reader.quit()
        }
      },
      remaining: () => remainingOf(redis, name),
      async teardown() {
        await redis.quit()
      },
    }
  },

  async coldStart(url, { imported, connected }) {
    const { Redis } = await import('ioredis')
    imported()
    const redis = new Redis(url, { lazyConnect: true })
    await redis.connect()
    connected()
    return () => redis.quit()
  },
}
