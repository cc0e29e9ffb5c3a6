import type { KafkaDelivery, Partition, Waiting } from '../settling/partition.ts'

/** How much of something is in memory. */
export interface Load {
  readonly messages: number
  readonly bytes: number
}

/**
 * Messages ready for core, over all partitions. Counted apart: what comes from the topic itself, and the retries and
 * replays, which go ahead of it.
 */
export class ReadyMessages {
  readonly #loads = { main: { messages: 0, bytes: 0 }, returning: { messages: 0, bytes: 0 } }
  /** Rotated: who was served last comes last. */
  #rotation: Partition[] = []

  get main(): Load {
    return this.#loads.main
  }

  get returning(): Load {
    return this.#loads.returning
  }

  get isEmpty(): boolean {
    return this.main.messages === 0 && this.returning.messages === 0
  }

  /** From now on there are these partitions, with what is ready in them. */
  open(partitions: readonly Partition[]): void {
    this.#rotation = [...partitions]
    for (const kind of ['main', 'returning'] as const) this.#loads[kind] = { messages: 0, bytes: 0 }
    for (const partition of partitions) for (const waiting of partition.waiting()) this.#count(waiting, 1)
  }

  /** `isDue`: it goes ahead of the backlog. */
  add(waiting: Waiting, isDue: boolean): void {
    if (isDue) waiting.partition.addDue(waiting)
    else waiting.partition.addFresh(waiting)
    this.#count(waiting, 1)
  }

  /** First what waited for its time: it is due now, whatever the backlog. */
  take(max: number): KafkaDelivery[] {
    const deliveries: KafkaDelivery[] = []
    this.#takeInTurns('due', max, deliveries)
    this.#takeInTurns('any', max, deliveries)
    return deliveries
  }

  /** In equal shares, so that no partition, and on an ordered topic no key, has all the room. */
  #takeInTurns(what: 'due' | 'any', max: number, deliveries: KafkaDelivery[]): void {
    let able = this.#rotation.filter((partition) => partition.has(what))
    while (able.length > 0 && deliveries.length < max) {
      const share = Math.ceil((max - deliveries.length) / able.length)
      able = able.filter((partition) => {
        const count = Math.min(share, max - deliveries.length)
        return count > 0 && this.#takeFrom(partition, what, count, deliveries)
      })
    }
    // The next turn begins behind who was served last.
    const last = deliveries.at(-1)
    if (last === undefined) return
    const served = this.#rotation.indexOf(last.waiting.partition)
    this.#rotation.push(...this.#rotation.splice(0, served + 1))
  }

  /** Whether it yielded its full share. */
  #takeFrom(partition: Partition, what: 'due' | 'any', count: number, deliveries: KafkaDelivery[]): boolean {
    for (let taken = 0; taken < count; taken += 1) {
      const delivery = partition.take(what)
      if (delivery === undefined) return false
      this.#count(delivery.waiting, -1)
      deliveries.push(delivery)
    }
    return true
  }

  #count({ partition, bytes }: Waiting, sign: 1 | -1): void {
    const load = partition.kind === 'main' ? this.#loads.main : this.#loads.returning
    load.messages += sign
    load.bytes += sign * bytes
  }
}
