import type { Message } from '@waybill/core'

/** A message as `tail` and `dead show` print it, and as `send --envelope` takes it. */
export function messageToJson({ id, type, version, timestamp, key, expiresAt, metadata, data }: Message) {
  return {
    id,
    type,
    version,
    timestamp: timestamp.toISOString(),
    key: key ?? null,
    expiresAt: expiresAt?.toISOString() ?? null,
    metadata,
    data: data instanceof Uint8Array ? Buffer.from(data).toString('base64') : data,
  }
}
