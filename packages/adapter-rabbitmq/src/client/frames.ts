/** Numbers of the AMQP 0-9-1 specification, for the frames that the adapter writes itself. */

// 4.2.3: type, channel (2 bytes), size (4 bytes), payload, end.
export const methodFrame = 1
export const headerFrame = 2
export const bodyFrame = 3
export const frameEnd = 0xce
export const frameHeadBytes = 7
export const frameOverheadBytes = frameHeadBytes + 1

// 1.8: class and method.
export const basicClass = 0x003c
export const basicPublish = 0x003c_0028

/** A text in a table, and a text among the properties (4.2.5.3): its length takes four bytes, or one. */
export const longText = 0x53
export const maxShortTextBytes = 255

/** The properties of a message by amqplib's names, in the order in which they are written, and their flags (1.8.1). */
export const propertyFlags = {
  contentType: 0x8000,
  contentEncoding: 0x4000,
  headers: 0x2000,
  deliveryMode: 0x1000,
  priority: 0x0800,
  correlationId: 0x0400,
  replyTo: 0x0200,
  expiration: 0x0100,
  messageId: 0x0080,
  timestamp: 0x0040,
  type: 0x0020,
  userId: 0x0010,
  appId: 0x0008,
  clusterId: 0x0004,
} as const
