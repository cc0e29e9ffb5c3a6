import type { Adapter, OutboundMessage } from '@waybill/core/driver'
import { wrapAdapter } from './wrap-adapter.ts'

/** The adapter, and every message it was given to publish, as core made it. */
export function spyAdapter(adapter: Adapter): {
  readonly adapter: Adapter
  readonly published: OutboundMessage[]
} {
  const published: OutboundMessage[] = []
  return {
    published,
    adapter: wrapAdapter(adapter, {
      publish(batch, forward) {
        published.push(...batch)
        return forward(batch)
      },
    }),
  }
}
