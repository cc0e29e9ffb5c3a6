import type {} from '@waybill/core'
import type { Adapter } from '@waybill/core/driver'
import { SqsDriver, type SqsNative } from './driver.ts'
import { parseSqsOptions, type SqsOptions } from './options.ts'

export type { SqsNative } from './driver.ts'
export type { SqsCredentials, SqsMirror, SqsOptions, SqsTopicOptions } from './options.ts'

/** How core finds this package: by the scheme of the URL. */
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
