import { Batcher } from '@waybill/core/driver-kit'

interface Asked<Item, Answer> {
  readonly item: Item
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

/** Lets calls travel together: those that come while a batch is under way are the next. Answer i belongs to item i. */
export function answeredBatches<Item, Answer>(
  run: (items: readonly Item[]) => Promise<readonly Answer[]>,
  maxItems: number,
): (item: Item) => Promise<Answer> {
  const batcher = new Batcher<Asked<Item, Answer>>(
    async (asked) => {
      try {
        const answers = await run(asked.map(({ item }) => item))
        for (const [index, { resolve, reject }] of asked.entries()) {
          const answer = answers[index]
          if (index in answers) resolve(answer as Answer)
          else reject(new Error(`The batch has no answer ${index}`))
        }
      } catch (error) {
        for (const { reject } of asked) reject(error)
      }
    },
    { maxItems, parallelism: 1 },
  )
  return (item) => new Promise((resolve, reject) => batcher.add({ item, resolve, reject }))
}
