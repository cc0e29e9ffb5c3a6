import type { Section } from '../case.ts'
import type { Harness } from '../harness.ts'
import { sqsSections } from '../sqs/index.ts'
import { openEmulator } from './sqs.ts'

export interface OpenOwn {
  readonly harness: Harness
  readonly sections: readonly Section[]
  close(): Promise<void>
}

/** What the SQS adapter promises beyond the contract, instead of the contract. */
export function open(): Promise<OpenOwn> {
  return openOwn('sqs')
}

export async function openOwn(name: 'sqs' | 'elasticmq'): Promise<OpenOwn> {
  const { harness, sqs, close } = await openEmulator(name)
  const severalGroups = name === 'sqs'
  return { harness: { ...harness, name: `${name}-own`, severalGroups }, sections: sqsSections(sqs), close }
}
