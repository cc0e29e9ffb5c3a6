/** What a payload of a wake-up channel says. */
export type WakeUp =
  /** Something was added to these lines. */
  | { readonly kind: 'lines'; readonly lines: readonly number[] }
  /** Something is due in so many milliseconds, sooner than all else. */
  | { readonly kind: 'due'; readonly inMs: number }
  /** A member came or went. */
  | { readonly kind: 'members' }

export function parseWakeUp(payload: string): WakeUp {
  const due = /^due (\d+)$/.exec(payload)?.[1]
  if (due !== undefined) return { kind: 'due', inMs: Number(due) }
  if (/^\d+(,\d+)*$/.test(payload)) return { kind: 'lines', lines: payload.split(',').map(Number) }
  return { kind: 'members' }
}
