import { type Administration, MessagingError } from '@waybill/core/driver'
import { driverMutant, type Mutant } from './mutant.ts'
import { withField } from './with-field.ts'

/** A driver whose administration behaves otherwise. */
function administrationMutant(
  description: Omit<Mutant, 'mutate'>,
  replacement: (own: Administration) => Administration,
): Mutant {
  return driverMutant({
    ...description,
    layers: () => ({ administration: (own) => ({ ...own, ...replacement(own) }) }),
  })
}

export const administration: readonly Mutant[] = [
  driverMutant({
    name: 'refuses in words of its own',
    fault: 'A topic that is defined otherwise is refused without naming both sides',
    caughtBy: ['103a'],
    layers: () => ({
      async apply(topology, mode, forward) {
        try {
          return await forward(topology, mode)
        } catch (error) {
          if (!MessagingError.is(error) || error.code !== 'topology-mismatch') throw error
          throw new MessagingError(error.code, 'Something is wrong with the topic')
        }
      },
    }),
  }),
  administrationMutant(
    {
      name: 'lists declared groups only',
      fault: 'The list of groups leaves out one that a consumer made',
      caughtBy: ['108a'],
    },
    (own) => ({
      listGroups: async (topic) =>
        ((await own.listGroups?.(topic)) ?? []).filter((group) => !group.startsWith('adhoc')),
    }),
  ),
  administrationMutant(
    {
      name: 'forgets the order of listed topics',
      fault: 'Listed topics are never ordered',
      caughtBy: ['108a'],
    },
    (own) => ({
      listTopics: async () =>
        ((await own.listTopics?.()) ?? []).map((topic) => ({ ...topic, ordered: false })),
    }),
  ),
  administrationMutant(
    {
      name: 'deletes all groups for one',
      fault: 'Deleting a group deletes its neighbours',
      caughtBy: ['108b'],
    },
    (own) => ({
      deleteGroup: async (topic) => {
        for (const group of (await own.listGroups?.(topic)) ?? []) await own.deleteGroup?.(topic, group)
      },
    }),
  ),
  administrationMutant(
    {
      name: 'deletes groups in word only',
      fault: 'Deleting a group or a topic does nothing',
      caughtBy: ['108b', '108c'],
    },
    () => ({ deleteGroup: async () => {}, deleteTopic: async () => {} }),
  ),
  administrationMutant(
    {
      name: 'deletes all topics for one',
      fault: 'Deleting a topic deletes the others',
      caughtBy: ['108c'],
    },
    (own) => ({
      deleteTopic: async () => {
        for (const topic of (await own.listTopics?.()) ?? []) await own.deleteTopic?.(topic)
      },
    }),
  ),
  administrationMutant(
    {
      name: 'cancels in word only',
      fault: 'Cancelling a delayed message does nothing and says it did',
      caughtBy: ['108d'],
    },
    () => ({ cancelDelayed: async () => true }),
  ),
  driverMutant({
    name: 'tells the age of the youngest',
    fault: 'The age of the oldest waiting message starts again with each one sent',
    caughtBy: ['252a'],
    layers: () => {
      let sentAt = performance.now()
      return {
        publish(batch, forward) {
          sentAt = performance.now()
          return forward(batch)
        },
        async connect(forward) {
          const driver = await forward()
          return withField(driver, 'stats', async (topic, group) => {
            const stats = await driver.stats(topic, group)
            return { ...stats, oldestWaitingMs: stats.waiting === 0 ? 0 : performance.now() - sentAt }
          })
        },
      }
    },
  }),
  driverMutant({
    name: 'tells seconds',
    fault: 'The time in health is in seconds',
    caughtBy: ['252b'],
    layers: () => ({
      async connect(forward) {
        const driver = await forward()
        return withField(driver, 'health', async () => {
          const health = await driver.health()
          return { ...health, time: Math.floor((health.time ?? 0) / 1000) }
        })
      },
    }),
  }),
]
