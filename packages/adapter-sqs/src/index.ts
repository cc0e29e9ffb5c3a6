import type {} from '@waybill/core'
import type { Adapter } from '@waybill/core/driver'
import { SqsDriver, type SqsNative } from './driver.ts'
import { parseSqsOptions, type SqsOptions } from './options.ts'

export type { SqsNative } from './driver.ts'
export type { SqsCredentials, SqsMirror, SqsOptions, SqsTopicOptions } from './options.ts'

/**
 * Amazon SQS and SNS: `sqs://REGION`. Core loads it by the URL's scheme.
 *
 * ```ts
 * const bus = await connect({ url: 'sqs://eu-west-1' })
 * ```
 */
export const adapter: Adapter = {
  name: 'sqs',
  schemes: ['sqs', 'sqs+http', 'sqs+https'],
  contractVersion: 1,
  async connect(url, context) {
    return SqsDriver.open(parseSqsOptions(url, context.native), context)
  },
}

declare module '@waybill/core' {
  interface NativeOptions {
    readonly sqs?: SqsOptions
  }
  interface NativeClients {
    readonly sqs: SqsNative
  }
}
