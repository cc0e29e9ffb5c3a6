import { MessagingError } from '@waybill/core/driver'

/**
 * Lets tasks run at once except where they share a key: then they run in the order they came, and one whose earlier one
 * failed does not run at all, so that what is tried again finds its place still free.
 */
export class KeyOrder {
  readonly #last = new Map<string, Promise<boolean>>()

  /** `isWhole` says of a result whether nothing of it failed. */
  async run<Result>(
    keys: readonly string[],
    task: () => Promise<Result>,
    isWhole: (result: Result) => boolean,
  ): Promise<Result> {
    const distinct = new Set(keys)
    const earlier = [...distinct].flatMap((key) => this.#last.get(key) ?? [])
    const result = earlier.length === 0 ? task() : Promise.all(earlier).then((each) => after(each, task))
    const whole = result.then(isWhole, () => false)
    for (const key of distinct) this.#last.set(key, whole)
    try {
      return await result
    } finally {
      for (const key of distinct) if (this.#last.get(key) === whole) this.#last.delete(key)
    }
  }
}

function after<Result>(earlier: readonly boolean[], task: () => Promise<Result>): Promise<Result> {
  if (earlier.every((isWhole) => isWhole)) return task()
  const message = 'Held back: an earlier message of its key could not be sent'
  return Promise.reject(new MessagingError('rejected', message, { retryable: true, fate: 'not-sent' }))
}
