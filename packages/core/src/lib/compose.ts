export type Middleware<Context> = (context: Context, next: () => Promise<void>) => Promise<void>

/** A promise that knows whether anybody has looked at it, as `await` does. */
class Watched extends Promise<undefined> {
  /** What `then` makes is a plain promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  isWatched = false

  // biome-ignore lint/suspicious/noThenProperty: it is a promise
  override then<Result1 = undefined, Result2 = never>(
    onFulfilled?: ((value: undefined) => Result1 | PromiseLike<Result1>) | null,
    onRejected?: ((reason: unknown) => Result2 | PromiseLike<Result2>) | null,
  ): Promise<Result1 | Result2> {
    this.isWatched = true
    return super.then(onFulfilled, onRejected)
  }
}

/** What a middleware wraps, once it has called `next`. */
class Inner {
  readonly promise: Watched
  readonly #running: Promise<undefined>
  #isOver = false

  constructor(running: Promise<undefined>) {
    this.#running = running
    this.promise = new Watched((resolve) => resolve(running))
    const over = () => {
      this.#isOver = true
    }
    // A caller that forgets the promise causes no unhandled rejection.
    Promise.prototype.then.call(this.promise, over, over)
  }

  /** Rejects with a failure that the middleware cannot have known when it ended: it did not wait for it, or never looked. */
  async unseen(): Promise<void> {
    if (!this.#isOver || !this.promise.isWatched) await this.#running
  }
}

/**
 * Runs the middleware around `innermost`, the first outermost; false when one of them ended without calling `next`, so that
 * `innermost` never ran. If a middleware does not await `next()`, this waits anyway, and a failure
 * it did not see counts. Calling `next` twice in one middleware, or after it has ended, rejects.
 */
export async function compose<Context>(
  middleware: readonly Middleware<Context>[],
  context: Context,
  innermost: () => Promise<void>,
): Promise<boolean> {
  let reached = false
  const run = async (index: number): Promise<undefined> => {
    const current = middleware[index]
    if (current === undefined) {
      reached = true
      await innermost()
      return
    }
    let inner: Inner | undefined
    let hasEnded = false
    const next = (): Promise<void> => {
      if (inner !== undefined) return refused('A middleware called next() more than once')
      if (hasEnded) return refused('A middleware called next() after it had ended')
      inner = new Inner(run(index + 1))
      return inner.promise
    }
    try {
      await current(context, next)
    } finally {
      hasEnded = true
    }
    await inner?.unseen()
  }
  await run(0)
  return reached
}

function refused(why: string): Promise<never> {
  const refusal = Promise.reject(new Error(why))
  // It need not be awaited either.
  refusal.catch(() => {})
  return refusal
}
