import { type Clock, sleep } from './clock.ts'

/** Whether the promise was fulfilled within the time; its rejection counts as fulfilled, since then nothing runs on. */
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
