import { stubDriver } from '../driver/stub-driver.fixture.ts'
import type { DeadLetterStore, StoredDeadLetter } from '../driver.ts'
import { BodyReader } from '../encoding/body-reader.ts'
import { Formats } from '../encoding/formats.ts'
import { virtualClock } from '../lib/virtual-clock.ts'
import { encodeMessage } from '../messages/cloud-events.ts'
import type { Topic } from '../messages/topic.ts'
import { DeadLetters } from './dead-letters.ts'

type Step = 'add' | 'discard' | 'replay'

/** Dead letters over an array, whose calls a test may cut short. */
export function memoryStoreOf(topic: Topic, { canAdd = true }: { readonly canAdd?: boolean } = {}) {
  const letters: StoredDeadLetter[] = []
  const replayedLetters: StoredDeadLetter[] = []
  const failures: { readonly step: Step; readonly when: 'before' | 'after' }[] = []
  const cut = async <Result>(step: Step, run: () => Result): Promise<Result> => {
    const failure = failures[0]?.step === step ? failures.shift() : undefined
    if (failure?.when === 'before') throw new Error('cut short')
    const result = run()
    if (failure !== undefined) throw new Error('cut short')
    return result
  }
  const take = (ids: readonly string[] | 'all') => {
    const taken = letters.filter(({ id }) => ids === 'all' || ids.includes(id))
    letters.splice(0, letters.length, ...letters.filter((letter) => !taken.includes(letter)))
    return taken
  }
  const store: DeadLetterStore = {
    count: async () => letters.length,
    async *list() {
      yield* [...letters]
    },
    replay: (ids) => cut('replay', () => replayedLetters.push(...take(ids))),
    discard: (ids) => cut('discard', () => take(ids).length),
    ...(canAdd && {
      add: (added) =>
        cut('add', () => {
          letters.push(...added)
          return added.map(() => ({ ok: true }))
        }),
    }),
  }
  const formats = new Formats(undefined, [])
  const reader = new BodyReader(formats, topic.name, 'billing')
  const driver = stubDriver()
  const host = { clock: virtualClock(), reader, formats, driver, open: () => store }
  return {
    letters,
    replayedLetters,
    deadLetters: new DeadLetters(host, topic, 'billing'),
    maxMessageBytes: driver.capabilities.maxMessageBytes,
    add(id: string, data: unknown, headers: Readonly<Record<string, string>> = {}) {
      const { body, contentType } = encodeMessage({
        ...{ id: `m-${id}`, type: 'order.placed', version: 1, timestamp: new Date(0) },
        ...{ data, metadata: { source: 'test' } },
      })
      letters.push({ id, body, contentType, headers: { 'waybill-reason': 'permanent', ...headers } })
    },
    /** The message of what was replayed. */
    replayed: async (index: number) => reader.read(replayedLetters[index] ?? missing(index), 0),
    failOnce: (step: Step, when: 'before' | 'after') => failures.push({ step, when }),
  }
}

function missing(index: number): never {
  throw new Error(`there is no letter ${index}`)
}
