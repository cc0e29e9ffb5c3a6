import type { Codec, UnwrappedMessage } from '../messages/codec.ts'
import { isObject, type JsonObject, objectIn, textOf, timeOf } from './json-body.ts'

/**
 * Takes off what SNS puts around a message when a subscription has no raw delivery (Amazon SNS documentation, "Amazon SNS
 * message formats"). The other codecs, and CloudEvents, read what is inside; its message attributes are headers to them. Only
 * for reading.
 *
 * ```ts
 * const orders = defineTopic('orders', { codec: [json({ type: { header: 'eventType' } }), snsNotification()] })
 * ```
 */
export function snsNotification(): Codec {
  return {
    name: 'snsNotification',
    decode: (wire) => {
      const notification = objectIn(wire)
      if (notification?.Type !== 'Notification' || typeof notification.TopicArn !== 'string') return undefined
      return typeof notification.Message === 'string' ? unwrap(notification, notification.Message) : undefined
    },
  }
}

function unwrap(notification: JsonObject, text: string): UnwrappedMessage {
  const headers = headersIn(notification.MessageAttributes)
  const contentType = Object.keys(headers).find((name) => /^content-type$/i.test(name))
  return {
    inside: {
      body: Buffer.from(text),
      contentType: contentType === undefined ? undefined : headers[contentType],
      headers,
    },
    id: textOf(notification.MessageId, 'MessageId'),
    source: textOf(notification.TopicArn, 'TopicArn'),
    time: timeOf(notification.Timestamp, 'Timestamp'),
    metadata: { 'sns-subject': textOf(notification.Subject, 'Subject') },
  }
}

/** Attributes of the type Binary stay in base64. */
function headersIn(attributes: unknown): Record<string, string> {
  const headers: Record<string, string> = {}
  if (!isObject(attributes)) return headers
  for (const [name, attribute] of Object.entries(attributes)) {
    const value = isObject(attribute) ? attribute.Value : undefined
    if (typeof value === 'string' || typeof value === 'number') headers[name] = String(value)
  }
  return headers
}
