import type { SharedConnection } from '../connection/shared-connection.ts'
import { bounds } from '../wire/bounds.ts'
import { asArray, asNumber, asText } from '../wire/reply.ts'

export interface StraySettings {
  readonly shared: SharedConnection
  readonly stream: string
  readonly groupName: string
  /** Under whose name they are pending. */
  readonly consumer: string
  readonly isHeld: (id: string) => boolean
}

/**
 * What is pending under a name and in nobody's hand: the server handed it out in an answer that was lost with the
 * connection. Nobody else gets it while the member lives, so the member has to look for it.
 */
export async function* strays(
  settings: StraySettings,
): AsyncIterable<{ readonly id: string; readonly count: number }> {
  const { shared, stream, groupName, consumer, isHeld } = settings
  let start = '-'
  for (;;) {
    const reply = await shared.call('XPENDING', stream, groupName, start, '+', bounds.maxItems, consumer)
    const rows = asArray(reply).map(asArray)
    for (const [id, , , count] of rows)
      if (!isHeld(asText(id))) yield { id: asText(id), count: asNumber(count) }
    const last = rows.at(-1)
    if (last === undefined || rows.length < bounds.maxItems) return
    start = `(${asText(last[0])}`
  }
}
