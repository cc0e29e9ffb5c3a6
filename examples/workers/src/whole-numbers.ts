/** Options of a command line that are whole numbers from 0. Throws naming the first that is none. */
export function wholeNumbers<Name extends string>(
  texts: Readonly<Record<Name, string>>,
): Record<Name, number> {
  const entries = Object.entries<string>(texts).map(([name, text]) => {
    const value = Number(text)
    if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} is ${text}`)
    return [name, value] as const
  })
  return Object.fromEntries(entries) as Record<Name, number>
}
