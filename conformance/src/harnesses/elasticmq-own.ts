import { type OpenOwn, openOwn } from './sqs-own.ts'

/** As `sqs-own`, on ElasticMQ. */
export function open(): Promise<OpenOwn> {
  return openOwn('elasticmq')
}
