import { headerNames } from '@waybill/core/driver'

type Headers = Readonly<Record<string, string>>

/** The brokers that bridges brought the message from, the first one first; empty when none did. */
export function routeOf(headers: Headers): readonly string[] {
  const text = headers[headerNames.bridged]
  return text === undefined || text === '' ? [] : text.split(',').map(decoded)
}

/** The header's value with one more broker. */
export function routeText(route: readonly string[], from: string): string {
  return [...route, from].map(encodeURIComponent).join(',')
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    // Not written by a bridge.
    return name
  }
}
