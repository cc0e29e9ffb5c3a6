import { setTimeout as sleep } from 'node:timers/promises'

const pollMs = 25

/** Waits until something holds. Rejects with what `describe` says when nothing changes for a minute. */
export async function until(
  holds: () => Promise<boolean>,
  describe: () => Promise<string>,
  patienceMs = 60_000,
): Promise<void> {
  let last = ''
  let changedAt = performance.now()
  while (!(await holds())) {
    await sleep(pollMs)
    const now = await describe()
    if (now !== last) changedAt = performance.now()
    last = now
    if (performance.now() - changedAt > patienceMs)
      throw new Error(`Nothing has changed for ${patienceMs / 1000} s: ${now}`)
  }
}
