import type { AmqpMessage } from './amqp.ts'
import { RabbitmqDelivery } from './delivery.ts'
import { fromAmqp } from './messages.ts'

/** A delivery whose tag and partition alone matter. */
export function deliveryOf(deliveryTag: number, partition = 0): RabbitmqDelivery {
  const fields = { deliveryTag, redelivered: false, exchange: '', routingKey: '', consumerTag: '' }
  const properties: AmqpMessage['properties'] = {
    contentType: undefined,
    contentEncoding: undefined,
    headers: {},
    deliveryMode: undefined,
    priority: undefined,
    correlationId: undefined,
    replyTo: undefined,
    expiration: undefined,
    messageId: undefined,
    timestamp: undefined,
    type: undefined,
    userId: undefined,
    appId: undefined,
    clusterId: undefined,
  }
  const source = { content: Buffer.from('{}'), fields, properties }
  return new RabbitmqDelivery(source, fromAmqp(source), partition)
}
