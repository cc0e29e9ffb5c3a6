import type { OpenHarness } from '../open-harness.ts'
import { openOwn } from './sqs-own.ts'

/** As `sqs-own`, on ElasticMQ. */
export function open(): Promise<OpenHarness> {
  return openOwn('elasticmq')
}
