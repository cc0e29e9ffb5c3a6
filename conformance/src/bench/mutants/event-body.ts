import type { OutboundMessage } from '@waybill/core/driver'
import { z } from 'zod'

const eventSchema = z.record(z.string(), z.unknown())

/** The message with its event changed. */
export function withEvent(
  message: OutboundMessage,
  change: (event: Record<string, unknown>) => Record<string, unknown>,
): OutboundMessage {
  const event = eventSchema.parse(JSON.parse(new TextDecoder().decode(message.body)))
  return { ...message, body: new TextEncoder().encode(JSON.stringify(change(event))) }
}
