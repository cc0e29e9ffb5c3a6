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

/**
 * What was answered in time, else why it was not: what was thrown, or nothing when it took too long. Never rejects.
 *
 * @example
 * const { answer, thrown } = await answerWithin(clock, 5000, () => driver.health())
 */
export async function answerWithin<Answer>(
  clock: Clock,
  timeoutMs: number,
  ask: () => Answer | Promise<Answer>,
): Promise<{ readonly answer?: Answer; readonly thrown?: unknown }> {
  let said: { readonly answer?: Answer; readonly thrown?: unknown } = {}
  const asking = (async () => {
    said = { answer: await ask() }
  })().catch((thrown: unknown) => {
    said = { thrown }
  })
  await within(clock, timeoutMs, asking)
  return said
}
