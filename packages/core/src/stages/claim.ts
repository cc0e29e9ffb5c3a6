/** Where a body is, and which groups have to be done with it before it is removed; none: age alone removes it. */
export interface Claim {
  readonly id: string
  readonly groups: readonly string[]
}

// Topics take these names for groups.
const group = '[A-Za-z0-9][A-Za-z0-9._-]{0,63}'
const uuid = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
const note = new RegExp(String.raw`^(?<id>\d{4}-\d{2}-\d{2}/${uuid})(?:;(?<groups>${group}(?:,${group})*))?$`)

export function formatClaim({ id, groups }: Claim): string {
  return groups.length === 0 ? id : `${id};${groups.join(',')}`
}

/** Undefined for what is no claim: it comes from a header, which anybody may have written. */
export function parseClaim(text: string): Claim | undefined {
  const { id, groups } = note.exec(text)?.groups ?? {}
  return id === undefined ? undefined : { id, groups: groups === undefined ? [] : groups.split(',') }
}
