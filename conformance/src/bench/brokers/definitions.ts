import type { BrokerDefinition } from './definition.ts'
import { elasticmq } from './elasticmq.ts'
import { kafka } from './kafka.ts'
import { otelcol } from './otelcol.ts'
import { postgres } from './postgres.ts'
import { prometheus } from './prometheus.ts'
import { rabbitmq } from './rabbitmq.ts'
import { redis, valkey } from './redis.ts'
import type { BrokerName } from './running-broker.ts'
import { sqs } from './sqs.ts'

export const definitions: Readonly<Record<BrokerName, BrokerDefinition>> = {
  rabbitmq,
  kafka,
  redis,
  valkey,
  sqs,
  elasticmq,
  postgres,
  otelcol,
  prometheus,
}
