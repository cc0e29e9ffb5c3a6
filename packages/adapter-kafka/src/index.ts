import type {} from '@waybill/core'
import type { Adapter } from '@waybill/core/driver'
import { KafkaDriver } from './driver.ts'
import { type KafkaOptions, parseSettings } from './options.ts'

export type { KafkaNative } from './driver.ts'
export type {
  KafkaCompression,
  KafkaMirror,
  KafkaOptions,
  KafkaSaslOptions,
  KafkaTlsOptions,
  KafkaTopicOptions,
} from './options.ts'

declare module '@waybill/core' {
  interface NativeOptions {
    readonly kafka?: KafkaOptions
  }
  interface NativeClients {
    readonly kafka: ReturnType<KafkaDriver['native']>
  }
}

/** Kafka 3 and 4: `kafka://user:password@host:9092,host:9092`, or `kafka+ssl:` with TLS. */
export const adapter: Adapter = {
  name: 'kafka',
  schemes: ['kafka', 'kafka+ssl'],
  contractVersion: 1,
  async connect(url, context) {
    const driver = new KafkaDriver(parseSettings(url, context.native), context)
    await driver.open(context.signal)
    return driver
  },
}
