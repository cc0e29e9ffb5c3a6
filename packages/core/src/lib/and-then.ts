/** Goes on with a value that may still be on its way. Without a promise when there is none, which spares one a message. */
export function andThen<Value, Result>(
  value: Value | PromiseLike<Value>,
  next: (value: Value) => Result | Promise<Result>,
): Result | Promise<Result> {
  // Promises of other realms and libraries are none of this one's.
  return isThenable(value) ? Promise.resolve(value).then(next) : next(value)
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

/** Runs what may fail now or later; `failed` makes its error a better one. */
export function failingWith<Value>(
  failed: (error: unknown) => Error,
  run: () => Value | PromiseLike<Value>,
): Value | Promise<Value> {
  const rethrow = (error: unknown): never => {
    throw failed(error)
  }
  try {
    const value = run()
    return isThenable(value) ? Promise.resolve(value).then((settled) => settled, rethrow) : value
  } catch (error) {
    return rethrow(error)
  }
}
