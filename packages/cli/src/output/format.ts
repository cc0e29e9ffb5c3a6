const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const

/** A length of time for people: `3 min 20 s`, `850 ms`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`
  const index = units.findIndex(([, size]) => milliseconds >= size)
  const [name, size] = units[index] ?? units[3]
  const whole = Math.floor(milliseconds / size)
  const next = units[index + 1]
  if (next === undefined) return `${whole} ${name}`
  const rest = Math.floor((milliseconds - whole * size) / next[1])
  return rest === 0 ? `${whole} ${name}` : `${whole} ${name} ${rest} ${next[0]}`
}

const numbers = new Intl.NumberFormat('en-US')

/** `12,345`; a dash for what is not known. */
export function formatCount(count: number | undefined | null): string {
  return count === undefined || count === null ? '–' : numbers.format(count)
}

/** `1 message`, `12,345 messages`. */
export function countOf(count: number, singular: string, plural = `${singular}s`): string {
  return `${numbers.format(count)} ${count === 1 ? singular : plural}`
}

/** `2026-01-31 08:00:00Z`; a dash for what is not known. */
export function formatTime(time: Date | undefined): string {
  return time === undefined
    ? '–'
    : time
        .toISOString()
        .replace('T', ' ')
        .replace(/\.\d+Z$/, 'Z')
}
