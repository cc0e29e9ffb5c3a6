import { kafkaCases } from '../kafka/kafka-cases.ts'
import type { OpenHarness } from '../open-harness.ts'
import { open as openKafka } from './kafka.ts'

/** What the Kafka adapter promises beyond the contract, instead of the contract. */
export async function open(): Promise<OpenHarness> {
  const { harness, client, close } = await openKafka()
  return { harness: { ...harness, name: 'kafka-own' }, sections: [kafkaCases(client)], close }
}
