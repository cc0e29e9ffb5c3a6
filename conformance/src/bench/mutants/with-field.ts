/** The object with another value in one field; its methods still work on the object itself. */
export function withField<Target extends object, Name extends keyof Target>(
  target: Target,
  name: Name,
  changed: Target[Name],
): Target {
  return new Proxy(target, {
    get(_, property) {
      if (property === name) return changed
      const value: unknown = Reflect.get(target, property, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
