const quotedOrPlaceholder = /('(?:[^']|'')*'|"(?:[^"]|"")*")|\$(\d+)/g

/** SQL in parts: texts, and the numbers of its placeholders. */
export function placeholders(sql: string): readonly (string | number)[] {
  const parts: (string | number)[] = []
  let end = 0
  for (const match of sql.matchAll(quotedOrPlaceholder)) {
    const [, quoted, number] = match
    if (quoted !== undefined || number === undefined) continue
    parts.push(sql.slice(end, match.index), Number(number))
    end = match.index + match[0].length
  }
  return [...parts, sql.slice(end)]
}
