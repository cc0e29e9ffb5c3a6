/** A message as it was received. Whoever sent it may have put any value into a property. */
export interface AmqpMessage {
  readonly content: Buffer
  readonly fields: {
    readonly deliveryTag: number
    readonly redelivered: boolean
    readonly exchange: string
    readonly routingKey: string
  }
  readonly properties: AmqpProperties
}

/** Properties of a received message (AMQP 0-9-1 specification, 1.8.1). */
export interface AmqpProperties {
  readonly contentType: unknown
  readonly contentEncoding: unknown
  readonly headers: Readonly<Record<string, unknown>> | undefined
  readonly deliveryMode: unknown
  readonly priority: unknown
  readonly correlationId: unknown
  readonly replyTo: unknown
  readonly expiration: unknown
  readonly messageId: unknown
  readonly timestamp: unknown
  readonly type: unknown
  readonly userId: unknown
  readonly appId: unknown
  readonly clusterId: unknown
}

/** How a message is published, and the properties it gets. */
export interface PublishOptions {
  readonly persistent?: boolean
  readonly mandatory?: boolean
  /** One more routing key, or several (RabbitMQ documentation, "Sender-selected Distribution"). */
  readonly CC?: string | string[]
  contentType?: string
  contentEncoding?: string
  readonly headers?: Record<string, unknown>
  priority?: number
  correlationId?: string
  replyTo?: string
  /** In milliseconds, as text. */
  expiration?: string
  messageId?: string
  timestamp?: number
  type?: string
  appId?: string
}
