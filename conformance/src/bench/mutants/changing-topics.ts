import { driverMutant, type Mutant } from './mutant.ts'

export const changingTopics: readonly Mutant[] = [
  driverMutant({
    name: 'waits on for a topic that is gone',
    fault:
      'A subscription whose topic was deleted goes on waiting, and misses the topic that is made in its place',
    caughtBy: ['100a', '100b'],
    layers: () => ({
      async receive(max, signal, forward) {
        try {
          return await forward(max, signal)
        } catch {
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
          return []
        }
      },
    }),
  }),
]
