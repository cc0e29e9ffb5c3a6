const manyDigits = /\d{16}/
const integer = /^-?\d+$/

/**
 * Parses JSON. Whole numbers beyond 2^53, which JavaScript's numbers would round, come as BigInt, so that the schema or
 * the handler decides about them.
 */
export function parseExactly(text: string): unknown {
  // Seldom there is a number that long, and a reviver costs more than all the rest.
  return manyDigits.test(text) ? JSON.parse(text, exactly) : JSON.parse(text)
}

function exactly(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value
  const source = context?.source
  return source !== undefined && integer.test(source) ? BigInt(source) : value
}
