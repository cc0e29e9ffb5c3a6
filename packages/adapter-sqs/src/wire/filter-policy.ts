/** A condition of a filter policy (Amazon SNS Developer Guide, "Filter policy constraints", "String value matching"). */
type Condition =
  | string
  | { readonly prefix: string }
  | { readonly suffix: string }
  | { readonly exists: false }

/** The attribute that filter policies look at: the type, as it is mirrored on every message. */
export const filteredAttribute = 'ce-type'

/** A policy has at most 150 combinations; with one key, that many conditions (as above). */
const mostConditions = 150

/** What SNS can say of a pattern, perhaps matching too much; undefined when it can say nothing. */
function conditionsOf(pattern: string): readonly Condition[] | undefined {
  const segments = pattern.split('.')
  const wild = segments.findIndex((segment) => segment === '*' || segment === '#')
  if (wild === -1) return [pattern]
  if (wild > 0) {
    const start = segments.slice(0, wild).join('.')
    // `#` also stands for no segment at all.
    return segments[wild] === '#' ? [start, { prefix: `${start}.` }] : [{ prefix: `${start}.` }]
  }
  const last = segments.findLastIndex((segment) => segment === '*' || segment === '#')
  const end = segments.slice(last + 1).join('.')
  if (end === '') return undefined
  const couldBeAll = segments.slice(0, last + 1).every((segment) => segment === '#')
  return couldBeAll ? [end, { suffix: `.${end}` }] : [{ suffix: `.${end}` }]
}

function asText(policy: ReadonlySet<string>): string {
  return `{"${filteredAttribute}":[${[...policy].join(',')}]}`
}

/**
 * The filter policy of a group that wants these types, or undefined where it must get everything: the exact patterns
 * are core's affair, a policy may let too much through but never too little. Messages without a type (from foreign
 * senders) pass.
 */
export function filterPolicy(patterns: readonly string[]): string | undefined {
  const conditions = new Set([JSON.stringify({ exists: false } satisfies Condition)])
  for (const pattern of patterns) {
    const found = conditionsOf(pattern)
    if (found === undefined) return undefined
    for (const condition of found) conditions.add(JSON.stringify(condition))
  }
  return conditions.size > mostConditions ? undefined : asText(conditions)
}

/** The policy that lets through what either does; undefined lets everything through, and so does what is not ours. */
export function widerPolicy(one: string | undefined, other: string | undefined): string | undefined {
  const first = readPolicy(one)
  const second = readPolicy(other)
  if (first === undefined || second === undefined) return undefined
  const conditions = new Set([...first, ...second])
  return conditions.size > mostConditions ? undefined : asText(conditions)
}

function readPolicy(text: string | undefined): readonly string[] | undefined {
  if (text === undefined) return undefined
  const policy: unknown = JSON.parse(text)
  if (typeof policy !== 'object' || policy === null || !(filteredAttribute in policy)) return undefined
  const conditions = policy[filteredAttribute]
  return Array.isArray(conditions) ? conditions.map((condition) => JSON.stringify(condition)) : undefined
}
