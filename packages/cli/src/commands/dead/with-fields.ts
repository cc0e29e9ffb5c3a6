import { UsageError } from '../../failures/usage-error.ts'

/**
 * A copy of the data with fields replaced or added, each given as `customer.name="Ann"`.
 *
 * @throws {UsageError} when one is not of that form, or leads into something that has no fields.
 */
export function withFields(data: unknown, assignments: readonly string[]): unknown {
  const copy: unknown = structuredClone(data)
  for (const assignment of assignments) {
    const at = assignment.indexOf('=')
    const path = assignment.slice(0, Math.max(0, at)).split('.')
    if (at < 1 || path.includes('')) {
      throw new UsageError(`--set ${assignment}: expected FIELD=JSON, such as customer.name="Ann"`)
    }
    const last = path.pop() ?? ''
    let target = copy
    for (const name of path) target = isObject(target) ? Reflect.get(target, name) : undefined
    if (!isObject(target)) throw new UsageError(`--set ${assignment}: the data has no object there`)
    // Not by assignment: a field may be called __proto__.
    Object.defineProperty(target, last, {
      ...{ value: parse(assignment.slice(at + 1), assignment), enumerable: true },
      ...{ writable: true, configurable: true },
    })
  }
  return copy
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function parse(text: string, assignment: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new UsageError(`--set ${assignment}: the value is no JSON; text stands in double quotes`)
  }
}
