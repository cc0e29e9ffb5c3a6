import type { Section } from '../case.ts'
import type { Harness } from '../harness.ts'
import { kafkaCases } from '../kafka/kafka-cases.ts'
import { open as openKafka } from './kafka.ts'

/** What the Kafka adapter promises beyond the contract, instead of the contract. */
export async function open(): Promise<{
  harness: Harness
  sections: readonly Section[]
  close(): Promise<void>
}> {
  const { harness, client, close } = await openKafka()
  return { harness: { ...harness, name: 'kafka-own' }, sections: [kafkaCases(client)], close }
}
