/** As many digits may be more than 2^53; fewer are not. */
const manyDigits = 16
const integer = /^-?\d+$/

/**
 * Parses JSON. Whole numbers beyond 2^53, which JavaScript's numbers would round, come as BigInt, so that the schema or
 * the handler decides about them.
 */
export function parseExactly(text: string): unknown {
  // Seldom there is a number that long, and a reviver costs more than all the rest.
  return hasManyDigits(text) ? JSON.parse(text, exactly) : JSON.parse(text)
}

function exactly(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value
  const source = context?.source
  return source !== undefined && integer.test(source) ? BigInt(source) : value
}

// Most stretches of text are passed over after a look at their last character; a regular expression looks at all.
function hasManyDigits(text: string): boolean {
  let last = manyDigits - 1
  while (last < text.length) {
    let at = last
    while (at > last - manyDigits && isDigit(text.charCodeAt(at))) at -= 1
    if (at === last - manyDigits) return true
    last = at + manyDigits
  }
  return false
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}
