import { randomUUID } from 'node:crypto'

interface Marks {
  /** Between the values of a column. */
  readonly separator: string
  /** The value that is none. */
  readonly none: string
}

type Values = readonly unknown[]

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

export function textRowParameters(columns: readonly Values[]): readonly string[] {
  const texts = columns.map((values) => joined(values, usual))
  if (columns.every((values, index) => isClear(values, texts[index] ?? '', usual))) {
    return [...texts, usual.separator, usual.none]
  }
  const made: Marks = { separator: `\u001f${randomUUID()}`, none: `\u001e${randomUUID()}` }
  return [...columns.map((values) => joined(values, made)), made.separator, made.none]
}

function joined(values: Values, { separator, none }: Marks): string {
  return (values.includes(null) ? values.map((value) => value ?? none) : values).join(separator)
}

/** Whether no value has a mark in it. */
function isClear(values: Values, text: string, { separator, none }: Marks): boolean {
  const absent = values.includes(null) ? values.filter((value) => value === null).length : 0
  return countOf(separator, text) === values.length - 1 && countOf(none, text) === absent
}

function countOf(part: string, text: string): number {
  let count = 0
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + part.length)) count += 1
  return count
}
