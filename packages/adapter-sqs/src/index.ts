import type {} from '@waybill/core'
import type { Adapter } from '@waybill/core/driver'
import { connect, type SqsNative } from './driver.ts'
import type { SqsOptions } from './options.ts'

export type { SqsNative } from './driver.ts'
export type { SqsOptions, SqsTopicOptions } from './options.ts'

/** How core finds this package: by the scheme of the URL. */
export const adapter: Adapter = {
  name: 'sqs',
  schemes: ['sqs', 'sqs+http', 'sqs+https'],
  contractVersion: 1,
  connect,
}

declare module '@waybill/core' {
  interface NativeOptions {
    readonly sqs?: SqsOptions
  }
  interface NativeClients {
    readonly sqs: SqsNative
  }
}
