import type {} from '@waybill/core'
import type { Adapter } from '@waybill/core/driver'
import { KafkaDriver } from './driver.ts'
import { type KafkaOptions, parseKafkaOptions } from './options.ts'

export type { KafkaNative } from './client/native.ts'
export type {
  KafkaCompression,
  KafkaGroupOptions,
  KafkaMirror,
  KafkaOptions,
  KafkaSaslOptions,
  KafkaTlsOptions,
  KafkaTopicOptions,
} from './options.ts'
export { deletionType } from './wire/messages.ts'

declare module '@waybill/core' {
  interface NativeOptions {
    readonly kafka?: KafkaOptions
  }
  interface NativeClients {
    readonly kafka: ReturnType<KafkaDriver['native']>
  }
}

/**
 * Kafka 3 and 4: `kafka://user:password@host:9092,host:9092`, or `kafka+ssl:` with TLS. Core loads it by the URL's scheme.
 *
 * ```ts
 * const bus = await connect({ url: 'kafka://localhost:9092' })
 * ```
 */
export const adapter: Adapter = {
  name: 'kafka',
  schemes: ['kafka', 'kafka+ssl'],
  contractVersion: 1,
  async connect(url, context) {
    return KafkaDriver.open(parseKafkaOptions(url, context.native), context)
  },
}
