import type { RunningBroker } from '../brokers/index.ts'

export interface TelemetryServers {
  readonly rabbitmq: RunningBroker
  readonly kafka: RunningBroker
  readonly redis: RunningBroker
  readonly collector: RunningBroker
  readonly prometheus: RunningBroker
}
