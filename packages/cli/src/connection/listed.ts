import { setTimeout as sleep } from 'node:timers/promises'
import { type Bus, MessagingError, type Topic } from '@waybill/core'

// A topic that is being made at this moment, by another process, cannot be read for a little while.
const patienceMs = 5000
const pauseMs = 250

/** The topics at the broker. What fails for now is tried again for 5 s. */
export function listTopics(bus: Bus): Promise<readonly Topic[]> {
  return patiently(() => bus.administration.listTopics())
}

/** The groups of a topic at the broker. What fails for now is tried again for 5 s. */
export function listGroups(bus: Bus, topic: Topic): Promise<readonly string[]> {
  return patiently(() => bus.administration.listGroups(topic))
}

async function patiently<Value>(ask: () => Promise<Value>): Promise<Value> {
  for (const startedAt = performance.now(); ; ) {
    try {
      return await ask()
    } catch (error) {
      const isOver = performance.now() - startedAt > patienceMs
      if (isOver || !MessagingError.is(error) || !error.retryable) throw error
      await sleep(pauseMs)
    }
  }
}
