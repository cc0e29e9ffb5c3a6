/** Lets tasks run at once except where they share a key: then they run in the order they came. */
export class KeyOrder {
  readonly #last = new Map<string, Promise<unknown>>()

  run<Result>(keys: readonly string[], task: () => Promise<Result>): Promise<Result> {
    const distinct = new Set(keys)
    const earlier = [...distinct].flatMap((key) => this.#last.get(key) ?? [])
    const result = earlier.length === 0 ? task() : Promise.allSettled(earlier).then(task)
    for (const key of distinct) this.#last.set(key, result)
    const forget = () => {
      for (const key of distinct) if (this.#last.get(key) === result) this.#last.delete(key)
    }
    result.then(forget, forget)
    return result
  }
}
