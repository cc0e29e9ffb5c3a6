import type { Contender } from '../../contender.ts'
import { Slots } from '../../slots.ts'
import { createGroup, entriesOf, group, remainingOf } from './stream.ts'

const readAtOnce = 200

/** As somebody writes it who counts round trips: auto-pipelined XADD, long reads, one XACK for what was handled meanwhile. */
export const contender: Contender = {
  guarantees:
    'Each XADD is awaited, many in one write; one XACK for many messages, while the next are read. No reclaiming from dead consumers, no retries.',
  works: 'abcdeh',

  async setup({ url, name }) {
    const { Redis } = await import('ioredis')
    const redis = new Redis(url, { enableAutoPipelining: true })
    await createGroup(redis, name)
    return {
      async send(event) {
        await redis.xadd(name, '*', 'data', JSON.stringify(event))
      },
      async consume(handle, concurrency) {
        const reader = redis.duplicate()
        const slots = new Slots(concurrency)
        let stopped = false
        let acking: Promise<unknown> = Promise.resolve()
        const loop = async () => {
          while (!stopped) {
            const reply = await reader.xreadgroup(
              'GROUP',
              group,
              'consumer',
              'COUNT',
              readAtOnce,
              'BLOCK',
              500,
              'STREAMS',
              name,
              '>',
            )
            const entries = entriesOf(reply)
            if (entries.length === 0) continue
            await Promise.all(
              entries.map(async ({ data }) => {
                const slot = slots.acquire()
                if (slot !== undefined) await slot
                await handle(JSON.parse(data))
                slots.release()
              }),
            )
            await acking
            acking = redis.xack(name, group, ...entries.map(({ id }) => id))
          }
          await acking
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
    const redis = new Redis(url, { lazyConnect: true, enableAutoPipelining: true })
    await redis.connect()
    connected()
    return () => redis.quit()
  },
}
