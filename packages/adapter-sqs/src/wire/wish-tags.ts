import { matchesPattern } from '@waybill/core/driver'
import { digestOf } from '@waybill/core/driver-kit'

/**
 * The patterns that a group has asked for are kept as tags of its queue: a tag holds several, and is named by a digest of
 * what it holds, so that members who add to them at the same time never overwrite each other.
 */
const tagPrefix = 'waybill:wishes:'

/** Characters of a tag's value, and tags of a queue (Amazon SQS Developer Guide, "Cost allocation tags"; AWS tag limits). */
const longestValue = 256
const mostTags = 50

const everything = '#'

export type Tags = Readonly<Record<string, string>>

/** What the group has asked for; undefined where nobody has ever said so. */
export function wishesIn(tags: Tags): readonly string[] | undefined {
  const values = Object.entries(tags).flatMap(([name, value]) => (name.startsWith(tagPrefix) ? [value] : []))
  if (values.length === 0) return undefined
  return values.flatMap((value) => value.split(' ')).map(fromTagText)
}

/** To the safe side where nobody has said so: what comes is wanted. */
export function isWished(wishes: readonly string[] | undefined, type: string): boolean {
  return wishes === undefined || wishes.some((pattern) => matchesPattern(pattern, type))
}

/**
 * The tags to add so that a queue with these tags keeps these patterns too; none where it does. Where they no longer fit,
 * everything counts as wanted from then on.
 */
export function wishTags(tags: Tags, wanted: readonly string[]): Tags {
  const known = new Set(wishesIn(tags))
  if (known.has(everything)) return {}
  const missing = [...new Set(wanted)].filter((pattern) => !known.has(pattern)).sort()
  if (missing.length === 0) return {}
  const values: string[] = []
  let current = ''
  for (const text of missing.map(toTagText)) {
    const longer = current === '' ? text : `${current} ${text}`
    if (longer.length > longestValue && current !== '') {
      values.push(current)
      current = text
    } else current = longer
  }
  values.push(current)
  const fits = values.every((value) => value.length <= longestValue)
  if (fits && Object.keys(tags).length + values.length <= mostTags) {
    return Object.fromEntries(values.map((value) => [`${tagPrefix}${digestOf([value])}`, value]))
  }
  // At the limit no further tag is taken, but one that is there can say something else.
  const name = Object.keys(tags).find((each) => each.startsWith(tagPrefix)) ?? `${tagPrefix}all`
  return { [name]: toTagText(everything) }
}

/** Tags have letters, digits, spaces and `_.:/=+-@`. */
function toTagText(pattern: string): string {
  return pattern.replaceAll(/[^A-Za-z0-9._-]/gu, (character) => `=${character.codePointAt(0)?.toString(16)}:`)
}

function fromTagText(text: string): string {
  return text.replaceAll(/=([0-9a-f]+):/g, (_, code: string) =>
    String.fromCodePoint(Number.parseInt(code, 16)),
  )
}
