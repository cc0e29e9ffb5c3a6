import type { SQLInputValue } from 'node:sqlite'

const quotedOrPlaceholder = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\$(?<number>\d+)/g

/** `$1` is a name in SQLite, counted by its first use; `?1` is the first parameter. */
export function numberedParameters(sql: string): string {
  return sql.replace(quotedOrPlaceholder, (text, number?: string) =>
    number === undefined ? text : `?${number}`,
  )
}

/** What SQLite has no type for is written as the text or number that its functions read. */
export function sqliteValue(value: unknown): SQLInputValue {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'bigint':
      return value
    case 'boolean':
      return value ? 1 : 0
    case 'undefined':
      return null
    case 'object':
      if (value === null || value instanceof Uint8Array) return value
      return value instanceof Date ? value.getTime() : JSON.stringify(value)
    default:
      throw new TypeError(`A ${typeof value} cannot be a parameter of a query`)
  }
}
