import type { Attributes } from '@opentelemetry/api'
import type { Message } from '@waybill/core'
import type { Label } from '@waybill/figures'

/** The name of this instrumentation, as tracers and meters know it. */
export const instrumentation = '@waybill/opentelemetry'

/**
 * Of the semantic conventions for messaging, version 1.44, whose status is development:
 * https://opentelemetry.io/docs/specs/semconv/messaging/. What they do not define begins with `messaging.waybill.`.
 */
export const attributeNames = {
  system: 'messaging.system',
  operation: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  topic: 'messaging.destination.name',
  group: 'messaging.consumer.group.name',
  partition: 'messaging.destination.partition.id',
  messageId: 'messaging.message.id',
  conversation: 'messaging.message.conversation_id',
  batchSize: 'messaging.batch.message_count',
  error: 'error.type',
  type: 'messaging.waybill.message.type',
  attempt: 'messaging.waybill.attempt',
  reason: 'messaging.waybill.reason',
  state: 'messaging.waybill.state',
  types: 'messaging.waybill.types',
  outbox: 'messaging.waybill.outbox',
  jobs: 'messaging.waybill.jobs',
  job: 'messaging.waybill.job.name',
} as const satisfies Readonly<Record<Label, string>> & Readonly<Record<string, string>>

/** `messaging.system` of jobs: they are in a store, whatever hands them out. */
export const jobSystem = 'waybill'

const systems: Readonly<Record<string, string>> = { sqs: 'aws_sqs' }

/** `messaging.system` of a driver: the value of the conventions where they have one, else the driver's name. */
export function systemOf(driver: string): string {
  return systems[driver] ?? driver
}

/** What tells a message apart, and how its system names what Waybill calls type and key. */
export function attributesOf(system: string, message: Message): Attributes {
  const { id, type, key, metadata } = message
  const attributes: Attributes = { [attributeNames.messageId]: id, [attributeNames.type]: type }
  if (metadata.correlationId !== undefined) attributes[attributeNames.conversation] = metadata.correlationId
  if (system === 'rabbitmq') attributes['messaging.rabbitmq.destination.routing_key'] = type
  if (system === 'kafka' && key !== undefined) attributes['messaging.kafka.message.key'] = key
  return attributes
}
