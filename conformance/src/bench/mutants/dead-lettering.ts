import {
  type DeadLetterStore,
  MessagingError,
  type StoredDeadLetter,
  type TopicSpec,
} from '@waybill/core/driver'
import { driverMutant, type Mutant } from './mutant.ts'

type Replacement = (store: DeadLetterStore) => Partial<DeadLetterStore>

/** A driver whose dead letters behave otherwise. */
function storeMutant(description: Omit<Mutant, 'mutate'>, replacement: Replacement): Mutant {
  return driverMutant({
    ...description,
    layers: () => ({
      deadLetters: (store) => ({
        count: () => store.count(),
        list: () => store.list(),
        replay: (ids) => store.replay(ids),
        discard: (ids) => store.discard(ids),
        add: async (letters) => (await store.add?.(letters)) ?? [],
        ...replacement(store),
      }),
    }),
  })
}

export const deadLettering: readonly Mutant[] = [
  storeMutant(
    {
      name: 'trims bodies',
      fault: 'The body of a dead letter is text without the last byte',
      caughtBy: ['45a', '45b'],
    },
    (store) => ({
      async *list(): AsyncIterable<StoredDeadLetter> {
        for await (const letter of store.list()) yield { ...letter, body: letter.body.slice(0, -1) }
      },
    }),
  ),
  storeMutant(
    { name: 'replays all for one', fault: 'Replaying one letter replays all', caughtBy: ['47'] },
    (store) => ({ replay: () => store.replay('all') }),
  ),
  storeMutant(
    { name: 'replays copies', fault: 'A replayed letter stays on the list', caughtBy: ['47'] },
    (store) => ({
      async replay(ids) {
        const count = await store.count()
        return ids === 'all' ? count : Math.min(count, ids.length)
      },
    }),
  ),
  driverMutant({
    name: 'replays through the topic',
    fault: 'A replayed letter reaches every group of the topic',
    caughtBy: ['47'],
    layers: () => ({
      deadLetters: (store, topic: TopicSpec, _group, driver) => ({
        count: () => store.count(),
        list: () => store.list(),
        discard: (ids) => store.discard(ids),
        async replay(ids) {
          for await (const { id, body, contentType = '', headers: all } of store.list()) {
            if (ids !== 'all' && !ids.includes(id)) continue
            const headers = Object.fromEntries(
              Object.entries(all).filter(([name]) => !name.startsWith('waybill-')),
            )
            const copy = { topic, type: '', id, key: undefined, body, contentType, attributes: {}, headers }
            await driver.publish([{ ...copy, delayMs: 0, priority: undefined, expiresAt: undefined }])
          }
          return store.discard(ids)
        },
      }),
    }),
  }),
  storeMutant(
    { name: 'lists one page', fault: 'Lists the first 1,000 letters only', caughtBy: ['48'] },
    (store) => ({
      async *list(): AsyncIterable<StoredDeadLetter> {
        let count = 0
        for await (const letter of store.list()) {
          count += 1
          if (count > 1000) return
          yield letter
        }
      },
    }),
  ),
  storeMutant(
    { name: 'consumes what it lists', fault: 'A letter that was listed is gone', caughtBy: ['48', '47'] },
    (store) => ({
      async *list(): AsyncIterable<StoredDeadLetter> {
        for await (const letter of store.list()) {
          await store.discard([letter.id])
          yield letter
        }
      },
    }),
  ),
  storeMutant(
    { name: 'discards nothing', fault: 'Says that letters are gone and keeps them', caughtBy: ['49'] },
    (store) => ({
      async discard(ids) {
        const count = await store.count()
        return ids === 'all' ? count : Math.min(count, ids.length)
      },
    }),
  ),
  storeMutant(
    { name: 'replays what is discarded', fault: 'A discarded letter is delivered again', caughtBy: ['49'] },
    (store) => ({ discard: (ids) => store.replay(ids) }),
  ),
  storeMutant(
    {
      name: 'adds in word only',
      fault: 'Letters that are added are not there',
      caughtBy: ['250a', '250b', '250c', '251a', '251b'],
    },
    () => ({ add: async (letters) => letters.map(() => ({ ok: true })) }),
  ),
  storeMutant(
    {
      name: 'adds other bytes',
      fault: 'An added letter has its body as text',
      caughtBy: ['250a', '250b'],
    },
    (store) => ({
      add: async (letters) =>
        (await store.add?.(
          letters.map((letter) => ({
            ...letter,
            body: Buffer.from(Buffer.from(letter.body).toString('ascii')),
          })),
        )) ?? [],
    }),
  ),
  storeMutant(
    {
      name: 'adds the first only',
      fault: 'Of several letters only the first is added, and the others are refused',
      caughtBy: ['250a', '250b', '250c'],
    },
    (store) => ({
      async add([first, ...others]) {
        const outcomes = first === undefined ? [] : ((await store.add?.([first])) ?? [])
        const error = new MessagingError('rejected', 'one at a time')
        return [...outcomes, ...others.map(() => ({ ok: false as const, error }))]
      },
    }),
  ),
  storeMutant(
    {
      name: 'loses what it replays by name',
      fault: 'A letter replayed by its id is discarded',
      caughtBy: ['251a', '251b'],
    },
    (store) => ({ replay: (ids) => (ids === 'all' ? store.replay(ids) : store.discard(ids)) }),
  ),
  driverMutant({
    name: 'mixes dead letters up',
    fault: 'The groups of a topic have one list of dead letters',
    caughtBy: ['50'],
    layers: () => {
      const groups = new Map<string, Set<string>>()
      return {
        apply(topology, mode, forward) {
          for (const { topic, groups: declared } of topology.topics) {
            const names = groups.get(topic.name) ?? new Set()
            for (const { name } of declared) names.add(name)
            groups.set(topic.name, names)
          }
          return forward(topology, mode)
        },
        deadLetters(_, topic, group, driver) {
          const stores = [...(groups.get(topic.name) ?? [group])].map((name) =>
            driver.deadLetters(topic, name),
          )
          const sum = async (count: (store: DeadLetterStore) => Promise<number>) =>
            (await Promise.all(stores.map(count))).reduce((total, each) => total + each, 0)
          return {
            count: () => sum((store) => store.count()),
            async *list() {
              for (const store of stores) yield* store.list()
            },
            replay: (ids) => sum((store) => store.replay(ids)),
            discard: (ids) => sum((store) => store.discard(ids)),
          }
        },
      }
    },
  }),
]
