/**
 * Keeps what takes different times to get ready in its old order, lane by lane. All of it gets ready side by side; only
 * handing it on waits for what came before.
 */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>()

  /** `ready` as soon as it is there and all before it in the lane have had their turn. At once when nothing has to wait. */
  take<Value>(lane: string, ready: Value | Promise<Value>): Value | Promise<Value> {
    const before = this.#last.get(lane)
    if (before === undefined && !(ready instanceof Promise)) return ready
    const turn = this.#after(before, ready)
    const over: Promise<void> = turn.then(
      () => this.#end(lane, over),
      () => this.#end(lane, over),
    )
    this.#last.set(lane, over)
    return turn
  }

  async #after<Value>(before: Promise<unknown> | undefined, ready: Value | Promise<Value>): Promise<Value> {
    // Who waits for its turn hears of a failure then; until then it is no unhandled rejection.
    if (ready instanceof Promise) ready.catch(() => {})
    await before
    return await ready
  }

  #end(lane: string, over: Promise<unknown>): void {
    if (this.#last.get(lane) === over) this.#last.delete(lane)
  }
}
