/** How what was delivered differs from what should have been, as multisets. */
export interface Tally {
  readonly missing: readonly string[]
  readonly unexpected: readonly string[]
  /** Each extra delivery of an expected id. */
  readonly duplicates: readonly string[]
}

/** An id that is expected twice, such as one that fails once, stands twice in `expected`. */
export function tally(expected: readonly string[], delivered: readonly string[]): Tally {
  const left = new Map<string, number>()
  for (const id of expected) left.set(id, (left.get(id) ?? 0) + 1)
  const unexpected: string[] = []
  const duplicates: string[] = []
  for (const id of delivered) {
    const count = left.get(id)
    if (count === undefined) unexpected.push(id)
    else if (count === 0) duplicates.push(id)
    else left.set(id, count - 1)
  }
  const missing = [...left].flatMap(([id, count]) => Array<string>(count).fill(id))
  return { missing, unexpected, duplicates }
}

/** The difference in words; undefined when there is none beyond `duplicateBudget`. */
export function describeTally(
  { missing, unexpected, duplicates }: Tally,
  duplicateBudget: number,
): string | undefined {
  const problems: string[] = []
  if (missing.length > 0) problems.push(`${missing.length} missing (${sample(missing)})`)
  if (unexpected.length > 0) problems.push(`${unexpected.length} unexpected (${sample(unexpected)})`)
  if (duplicates.length > duplicateBudget) {
    problems.push(`${duplicates.length} duplicates, ${duplicateBudget} allowed (${sample(duplicates)})`)
  }
  return problems.length === 0 ? undefined : problems.join(', ')
}

function sample(ids: readonly string[]): string {
  return ids.length > 3 ? `${ids.slice(0, 3).join(', ')}, …` : ids.join(', ')
}
