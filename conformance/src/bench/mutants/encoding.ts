import type { OutboundMessage } from '@waybill/core/driver'
import { withEvent } from './event-body.ts'
import { driverMutant, type Mutant } from './mutant.ts'

/** A driver that sends something else than it was given. */
function encodingMutant(
  description: Omit<Mutant, 'mutate'>,
  change: (message: OutboundMessage) => OutboundMessage,
): Mutant {
  return driverMutant({
    ...description,
    layers: () => ({ publish: (batch, forward) => forward(batch.map(change)) }),
  })
}

export const encoding: readonly Mutant[] = [
  encodingMutant(
    { name: 'cuts what is large', fault: 'Bodies above 120 KiB lose their last byte', caughtBy: ['67'] },
    (message) =>
      message.body.byteLength > 120 * 1024 ? { ...message, body: message.body.slice(0, -1) } : message,
  ),
  encodingMutant(
    { name: 'takes bytes for text', fault: 'Binary data is decoded as UTF-8 on its way', caughtBy: ['69'] },
    (message) =>
      withEvent(message, ({ data_base64: base64, ...event }) => {
        if (typeof base64 !== 'string') return event
        const text = Buffer.from(base64, 'base64').toString('utf8')
        return { ...event, data_base64: Buffer.from(text).toString('base64') }
      }),
  ),
  encodingMutant(
    { name: 'normalises text', fault: 'Composed and decomposed letters become the same', caughtBy: ['70'] },
    (message) => ({ ...message, body: Buffer.from(Buffer.from(message.body).toString().normalize('NFC')) }),
  ),
  encodingMutant(
    { name: 'speaks ASCII', fault: 'Header values lose what is not ASCII', caughtBy: ['70'] },
    (message) => ({
      ...message,
      headers: Object.fromEntries(
        Object.entries(message.headers).map(([name, value]) => [name, value.replace(/[^\x20-\x7e]/g, '?')]),
      ),
    }),
  ),
  encodingMutant(
    {
      name: 'is no event',
      fault: 'The body lacks an attribute that CloudEvents requires',
      caughtBy: ['73a', '73b'],
    },
    (message) => withEvent(message, ({ specversion: _, ...event }) => event),
  ),
  encodingMutant(
    { name: 'mirrors nothing', fault: 'The attributes are not in the headers', caughtBy: ['73a', '73b'] },
    (message) => ({ ...message, attributes: {} }),
  ),
  encodingMutant(
    { name: 'lets nothing expire', fault: 'Forgets when a message expires', caughtBy: ['65'] },
    (message) => withEvent(message, ({ expirytime: _, ...event }) => event),
  ),
]
