import { asArray, asFields, asUtf8, type Fields } from './reply.ts'

export type Argument = string | number | Buffer

/** A call of a script: its keys and arguments by name, and the bytes that JSON cannot carry. */
export interface Call {
  readonly keys: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly args?: Readonly<Record<string, unknown>>
  readonly values?: readonly Argument[]
}

/** What a script answers: one object of named fields, and bytes. */
export interface Answer {
  readonly fields: Fields
  readonly values: readonly unknown[]
}

/** What EVALSHA takes after the script: the number of keys, the keys, the arguments (see `include/arguments.lua`). */
export function encodeCall({ keys, args, values = [] }: Call): readonly Argument[] {
  const flat: string[] = []
  const positions: Record<string, number | number[]> = {}
  for (const [name, given] of Object.entries(keys)) {
    if (given === undefined) continue
    positions[name] = typeof given === 'string' ? flat.push(given) : given.map((key) => flat.push(key))
  }
  return [flat.length, ...flat, JSON.stringify({ ...args, keys: positions }), ...values]
}

export function decodeAnswer(reply: unknown): Answer {
  const [json, ...values] = asArray(reply)
  return { fields: asFields(parse(asUtf8(json))), values }
}

/** Lua does not tell an empty list from an empty object. */
export function listOf(value: unknown): readonly Fields[] {
  return asArray(value).map(asFields)
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
