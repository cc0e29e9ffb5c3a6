import type { OutboundMessage, Outcome } from '@waybill/core/driver'
import { done, mirroredNames } from '@waybill/core/driver-kit'
import type { SqsSettings } from '../options.ts'
import type { ServiceTopology } from '../topology/topology.ts'
import { deduplicationIdOf, type Outgoing, placeOf, splitDelay } from '../wire/messages.ts'
import { type Destination, sendAll } from './sender.ts'

/** Sends what core hands over, to wherever the topic's messages go at the moment. */
export class Publisher {
  readonly #settings: SqsSettings
  readonly #topology: ServiceTopology

  constructor(settings: SqsSettings, topology: ServiceTopology) {
    this.#settings = settings
    this.#topology = topology
  }

  async publish(batch: readonly OutboundMessage[]): Promise<readonly Outcome[]> {
    const topic = batch[0]?.topic
    if (topic === undefined) return []
    const destination = await this.#topology.destination(topic)
    const results = await sendAll(
      destination,
      batch.map((message) => this.#outgoing(message, destination)),
    )
    if (results.some((result) => result?.error.code === 'topology-missing')) this.#topology.forget(topic)
    return results.map((result) => (result === undefined ? done : { ok: false, error: result.error }))
  }

  #outgoing(message: OutboundMessage, destination: Destination): Outgoing {
    const { body, contentType, attributes, headers, key, id, delayMs } = message
    const { mirrorAttributes, limits } = this.#settings
    const mirrored = Object.fromEntries(
      mirroredNames(message, mirrorAttributes).map((name) => [`ce-${name}`, attributes[name] ?? '']),
    )
    const { seconds, carriedMs } = splitDelay(delayMs, destination.knowsDelays ? limits.delayMs : 0)
    return {
      body,
      contentType: contentType === '' ? undefined : contentType,
      headers: { ...mirrored, ...headers },
      ...(destination.isFifo && { fifo: placeOf(key, deduplicationIdOf(attributes.source, id)) }),
      ...(delayMs > 0 && { delaySeconds: seconds, delayMs: carriedMs }),
    }
  }
}
