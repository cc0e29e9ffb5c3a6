import { randomUUID } from 'node:crypto'

interface Marks {
  /** Between the values of a column. */
  readonly separator: string
  /** The value that is none. */
  readonly none: string
}

const usual: Marks = { separator: '\u001f', none: '\u001e' }

/**
 * Rows of which each column is given as one text, with marks between its values. That is written in a fraction of the time that
 * clients take for arrays, whose every element they escape, and the server splits it faster than it reads those.
 */
export function textRows(first: number, names: readonly string[]): string {
  const marks = `$${first + names.length}, $${first + names.length + 1}`
  const texts = names.map((_, index) => `string_to_table($${first + index}, ${marks})`)
  const columns = names.map((name) => `"${name}"`)
  return `ROWS FROM (${texts.join(', ')}) WITH ORDINALITY AS incoming(${columns.join(', ')}, n)`
}

export function textRowParameters(columns: readonly (readonly unknown[])[]): readonly string[] {
  const made = { separator: `\u001f${randomUUID()}`, none: `\u001e${randomUUID()}` }
  return joined(columns, usual) ?? joined(columns, made) ?? []
}

/** Undefined when a value has one of the marks in it. */
function joined(columns: readonly (readonly unknown[])[], marks: Marks): readonly string[] | undefined {
  const { separator, none } = marks
  const texts: string[] = []
  for (const column of columns) {
    const text = column.join(separator)
    if (text.includes(none) || countOf(separator, text) !== column.length - 1) return undefined
    texts.push(column.includes(null) ? column.map((value) => value ?? none).join(separator) : text)
  }
  return [...texts, separator, none]
}

function countOf(part: string, text: string): number {
  let count = 0
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + part.length)) count += 1
  return count
}
