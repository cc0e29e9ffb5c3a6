import { MessagingError } from '@waybill/core/driver'

/** An ARN may lead to another account or region, where we make nothing. */
export function missingReference(what: string, arn: string): MessagingError {
  const message = `${what} ${arn} does not exist, and Waybill does not create what is named by its ARN; create it, or name it`
  return new MessagingError('topology-missing', message, { fate: 'not-sent' })
}
