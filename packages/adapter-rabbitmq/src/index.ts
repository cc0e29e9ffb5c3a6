// Only so that the compiler knows the module that is added to below.
import type {} from '@waybill/core'
import type { Adapter } from '@waybill/core/driver'
import { RabbitmqDriver } from './driver.ts'
import { parseRabbitmqOptions, type RabbitmqOptions } from './options.ts'

export type { RabbitmqNative } from './driver.ts'
export type {
  RabbitmqGroupOptions,
  RabbitmqOptions,
  RabbitmqTopicOptions,
} from './options.ts'

declare module '@waybill/core' {
  interface NativeOptions {
    readonly rabbitmq?: RabbitmqOptions
  }
  interface NativeClients {
    readonly rabbitmq: ReturnType<RabbitmqDriver['native']>
  }
}

/**
 * RabbitMQ 4 over AMQP 0-9-1: `amqp://user:password@host:5672/virtual-host`, or `amqps:` with TLS. Core loads it by the URL's scheme.
 *
 * ```ts
 * const bus = await connect({ url: 'amqp://localhost' })
 * ```
 */
export const adapter: Adapter = {
  name: 'rabbitmq',
  schemes: ['amqp', 'amqps'],
  contractVersion: 1,
  connect: async (url, context) => RabbitmqDriver.open(parseRabbitmqOptions(url, context.native), context),
}
