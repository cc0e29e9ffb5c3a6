/**
 * Whether a pattern certainly matches every type that another matches. False in doubt: `*.#` and `#.*` match the same types,
 * yet neither is found to cover the other.
 */
export function coversPattern(pattern: string, other: string): boolean {
  return covers(pattern.split('.'), other.split('.'))
}

function covers(pattern: readonly string[], other: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return other.length === 0
  const [next, ...others] = other
  if (first === '#') return covers(rest, other) || (next !== undefined && covers(pattern, others))
  if (next === undefined || next === '#') return false
  return (first === '*' || first === next) && covers(rest, others)
}
