import { type Clock, sleep } from './clock.ts'

/**
 * Whether the promise settled within the time, fulfilled or rejected. Never rejects.
 *
 * @example
 * if (!(await within(clock, 2000, client.close()))) client.destroy()
 */
export async function within(clock: Clock, timeoutMs: number, promise: Promise<unknown>): Promise<boolean> {
  const over = new AbortController()
  const done = promise.then(
    () => true,
    () => true,
  )
  const result = await Promise.race([done, sleep(clock, timeoutMs, over.signal).then(() => false)])
  over.abort()
  return result
}
