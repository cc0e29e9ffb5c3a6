import type { Admin, Consumer, Producer } from 'kafkajs'

/** What `bus.native('kafka')` gives on Kafka: kafkajs's clients, those of them that exist at the moment. */
export interface KafkaNative {
  readonly admin: Admin | undefined
  readonly producer: Producer | undefined
  readonly consumers: readonly Consumer[]
}
