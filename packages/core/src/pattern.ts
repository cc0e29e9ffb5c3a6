const compiled = new Map<string, RegExp>()

function compile(pattern: string): RegExp {
  const parts = pattern.split('.').map((segment) => {
    if (segment === '*') return '\\.[^.]+'
    if (segment === '#') return '(?:\\.[^.]+)*'
    return `\\.${segment.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')}`
  })
  return new RegExp(`^${parts.join('')}$`)
}

/**
 * Whether a message type matches a pattern: dotted segments, `*` for exactly one, `#` for none or more (AMQP 0-9-1,
 * topic exchanges). Anything else is literal.
 */
export function matchesPattern(pattern: string, type: string): boolean {
  if (pattern === '#' || pattern === type) return true
  let expression = compiled.get(pattern)
  if (expression === undefined) {
    expression = compile(pattern)
    // Patterns come from code, not from traffic, so they are few; the bound is for programs that make them up.
    if (compiled.size < 10_000) compiled.set(pattern, expression)
  }
  return expression.test(`.${type}`)
}

export function isPattern(text: string): boolean {
  return text.split('.').some((segment) => segment === '*' || segment === '#')
}
