import type { OpenHarness } from '../open-harness.ts'
import { rabbitmqSections } from '../rabbitmq/index.ts'
import { open as openRabbitmq } from './rabbitmq.ts'

/** What the RabbitMQ adapter promises beyond the contract, instead of the contract. */
export async function open(): Promise<OpenHarness> {
  const { harness, administration, close } = await openRabbitmq()
  return { harness: { ...harness, name: 'rabbitmq-own' }, sections: rabbitmqSections(administration), close }
}
