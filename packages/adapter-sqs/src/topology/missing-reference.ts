import { MessagingError } from '@waybill/core/driver'

/** An ARN may belong to another account or region, where Waybill creates nothing. */
export function missingReference(what: string, arn: string): MessagingError {
  const message = `${what} ${arn} does not exist, and Waybill creates nothing that is given as an ARN. Create it, or give its name instead`
  return new MessagingError('topology-missing', message, { fate: 'not-sent' })
}
