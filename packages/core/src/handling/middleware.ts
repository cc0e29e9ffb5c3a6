type Middleware<Context> = (context: Context, next: () => Promise<void>) => Promise<void>

/** Runs the middleware around `innermost`, the first outermost. Calling `next` twice in one middleware throws. */
export function compose<Context>(
  middleware: readonly Middleware<Context>[],
  context: Context,
  innermost: () => Promise<void>,
): Promise<void> {
  let reached = -1
  const dispatch = async (index: number): Promise<void> => {
    if (index <= reached) throw new Error('A middleware called next() more than once')
    reached = index
    const current = middleware[index]
    await (current === undefined ? innermost() : current(context, () => dispatch(index + 1)))
  }
  return dispatch(0)
}
