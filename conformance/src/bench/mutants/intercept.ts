/** Stands in for a method; `forward` calls it. */
export type Interceptor = (
  args: readonly unknown[],
  forward: (...args: readonly unknown[]) => unknown,
) => unknown

/** The object, with calls of the named methods going through an interceptor. A method that returns the object still does. */
export function intercept<Target extends object>(
  target: Target,
  calls: Readonly<Record<string, Interceptor>>,
): Target {
  const proxy = new Proxy(target, {
    get(_, property) {
      const value: unknown = Reflect.get(target, property, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        const forward = (...changed: readonly unknown[]) => {
          const result: unknown = Reflect.apply(value, target, changed)
          return result === target ? proxy : result
        }
        const interceptor = typeof property === 'string' ? calls[property] : undefined
        return interceptor === undefined ? forward(...args) : interceptor(args, forward)
      }
    },
  })
  return proxy
}
