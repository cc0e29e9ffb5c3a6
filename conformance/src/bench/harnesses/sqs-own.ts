import type { OpenHarness } from '../open-harness.ts'
import { sqsSections } from '../sqs/index.ts'
import { openEmulator } from './sqs.ts'

/** What the SQS adapter promises beyond the contract, instead of the contract. */
export function open(): Promise<OpenHarness> {
  return openOwn('sqs')
}

export async function openOwn(name: 'sqs' | 'elasticmq'): Promise<OpenHarness> {
  const { harness, surroundings, close } = await openEmulator(name)
  const severalGroups = name === 'sqs'
  return {
    harness: { ...harness, name: `${name}-own`, severalGroups },
    sections: sqsSections(surroundings),
    close,
  }
}
