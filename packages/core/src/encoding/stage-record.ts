import { headerNames } from '../driver/transport-headers.ts'

/** One stage that a body went through. */
export interface AppliedStage {
  readonly name: string
  readonly note: string
}

type Headers = Readonly<Record<string, string>>

/**
 * The stages a body went through, in the order in which they were applied: `compress=zstd;claim-check=2026-11-29%2F0190…`.
 * Names and notes are percent-encoded.
 */
export function formatStages(applied: readonly AppliedStage[]): string {
  return applied
    .map(({ name, note }) => (note === '' ? name : `${name}=${encodeURIComponent(note)}`))
    .join(';')
}

/**
 * What the headers say; empty for a body as its codec made it.
 *
 * @throws when the header is not one that `formatStages` makes.
 */
export function appliedStages(headers: Headers): readonly AppliedStage[] {
  const text = headers[headerNames.stages]
  if (text === undefined || text === '') return []
  return text.split(';').map((part) => {
    const [name = '', note = ''] = part.split('=', 2)
    return { name, note: decodeURIComponent(note) }
  })
}
