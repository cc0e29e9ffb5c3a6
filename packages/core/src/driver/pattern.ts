/**
 * Whether a message type matches a pattern: dotted segments, `*` for exactly one, `#` for none or more (AMQP 0-9-1,
 * topic exchanges). Anything else is literal.
 *
 * @example
 * matchesPattern('order.*', 'order.placed') // true
 * matchesPattern('order.#', 'order') // true
 * matchesPattern('order.*', 'order.item.added') // false
 */
export function matchesPattern(pattern: string, type: string): boolean {
  if (pattern === '#' || pattern === type) return true
  const wanted = pattern.split('.')
  const given = type.split('.')
  let at = 0
  // A regular expression takes exponential time for many `#`, and types come from traffic. Going back to the latest `#`
  // alone is enough: an earlier one could only take segments that the latest can take too.
  let afterHash = -1
  let retryFrom = 0
  for (let index = 0; index < given.length; ) {
    const segment = wanted[at]
    if (segment === '#') {
      at += 1
      afterHash = at
      retryFrom = index
    } else if (segment === '*' || segment === given[index]) {
      at += 1
      index += 1
    } else if (afterHash >= 0) {
      at = afterHash
      retryFrom += 1
      index = retryFrom
    } else return false
  }
  while (wanted[at] === '#') at += 1
  return at === wanted.length
}

export function isPattern(text: string): boolean {
  return text.split('.').some((segment) => segment === '*' || segment === '#')
}
