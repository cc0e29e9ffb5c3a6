type Digit = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9

// `${number}` would take '1e3s', ' 5s' and '-5s', which parsers refuse; a bigint takes a minus at most, and the digit
// in front rules it out. Fractions may begin with a zero, which a bigint may not.
type Fraction = `${bigint}` | `0${bigint}` | `00${bigint}`

/** A number, or digits with a unit as text: `'5s'`, `'1.5mb'`. */
export type Quantity<Unit extends string> =
  | number
  | (`${bigint}${Unit}` & `${Digit}${string}`)
  | (`${bigint}.${Fraction}${Unit}` & `${Digit}${string}`)

const pattern = /^(\d+(?:\.\d+)?)([a-z]+)$/

/** The quantity in the smallest unit; undefined if it is none, or has a unit that `factors` does not have. */
export function parseQuantity(value: unknown, factors: ReadonlyMap<string, number>): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? value : undefined
  if (typeof value !== 'string') return undefined
  const match = pattern.exec(value)
  const factor = factors.get(match?.[2] ?? '')
  return match?.[1] === undefined || factor === undefined ? undefined : Number(match[1]) * factor
}
