import type { SNSClient } from '@aws-sdk/client-sns'
import type { SQSClient } from '@aws-sdk/client-sqs'
import type { CaseContext } from '../../case/case-context.ts'
import { Gateway } from './gateway.ts'

/** What the adapter's own cases work with beside a case's context. */
export interface Surroundings {
  /** Plain clients of the emulator. */
  readonly sqs: SQSClient
  readonly sns: SNSClient
  readonly emulator: { readonly host: string; readonly port: number }
}

/** A gateway before the emulator, until the case ends. */
export async function openGateway(context: CaseContext, { emulator }: Surroundings): Promise<Gateway> {
  const gateway = await Gateway.start(emulator)
  context.defer(() => gateway.close())
  return gateway
}

/** Options that lead through a gateway; ElasticMQ has no SNS. */
export function gatewayOf({ harness }: CaseContext, url: string): { readonly url: string } {
  return { url: harness.severalGroups === false ? `${url}&fanOut=never` : url }
}
