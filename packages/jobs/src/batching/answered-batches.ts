import { MessagingError } from '@waybill/core'
import { Batcher, inChunks } from '@waybill/core/driver-kit'

interface Asked<Item, Answer> {
  readonly item: Item
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

type Run<Item, Answer> = (items: readonly Item[]) => Promise<readonly Answer[]>

// What one statement carries: more takes longer than it saves.
const mostCharacters = 4_000_000

/**
 * Lets calls travel together: those that come while a batch is under way are the next. Answer i belongs to item i. What the store
 * cannot take of one item fails for that one alone, so `run` does nothing, or nothing that counts twice, when it fails.
 * `lengthOf`: in characters, of what may be long.
 */
export function answeredBatches<Item, Answer>(
  run: Run<Item, Answer>,
  { maxItems, lengthOf = () => 0 }: { readonly maxItems: number; readonly lengthOf?: (item: Item) => number },
): (item: Item) => Promise<Answer> {
  const batcher = new Batcher<Asked<Item, Answer>>(
    async (asked) => {
      const chunks = inChunks(asked, { maxBytes: mostCharacters, bytesOf: ({ item }) => lengthOf(item) })
      for (const chunk of chunks) await answer(run, chunk)
    },
    { maxItems, parallelism: 1 },
  )
  return (item) => new Promise((resolve, reject) => batcher.add({ item, resolve, reject }))
}

async function answer<Item, Answer>(
  run: Run<Item, Answer>,
  asked: readonly Asked<Item, Answer>[],
): Promise<void> {
  try {
    const answers = await run(asked.map(({ item }) => item))
    for (const [index, { resolve, reject }] of asked.entries()) {
      const answer = answers[index]
      if (index in answers) resolve(answer as Answer)
      else reject(new Error(`The batch has no answer ${index}`))
    }
  } catch (error) {
    const isOfStore = MessagingError.is(error) && error.retryable
    if (asked.length > 1 && !isOfStore) for (const each of asked) await answer(run, [each])
    else for (const { reject } of asked) reject(error)
  }
}
