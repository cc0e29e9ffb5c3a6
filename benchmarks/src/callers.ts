import { makeEvent } from './event.ts'

export interface CallersOptions {
  readonly callers: number
  /** The number of the first event. */
  readonly from: number
  /** Asked before each send, with the number of the next event. */
  readonly goOn: (next: number) => boolean
}

/** Callers that each send one event, await it, and send the next. Resolves with the number after the last event. */
export async function runCallers(
  send: (event: ReturnType<typeof makeEvent>) => Promise<void>,
  { callers, from, goOn }: CallersOptions,
): Promise<number> {
  let next = from
  const call = async () => {
    while (goOn(next)) {
      const event = makeEvent(next)
      next += 1
      await send(event)
    }
  }
  await Promise.all(Array.from({ length: callers }, call))
  return next
}
