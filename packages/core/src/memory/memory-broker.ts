import type { Clock } from '../lib/clock.ts'
import { MemoryGroup } from './memory-group.ts'
import type { StoredMessage } from './stored-message.ts'

/** A stream of messages: what it still remembers, and its groups. */
export class MemoryTopic {
  readonly ordered: boolean
  readonly groups = new Map<string, MemoryGroup>()
  /** The instances of broadcast consumers; they come and go. */
  readonly instances = new Set<MemoryGroup>()
  #log: StoredMessage[] = []
  #firstOffset = 0
  readonly #retention: number

  constructor(ordered: boolean, retention: number) {
    this.ordered = ordered
    this.#retention = retention
  }

  publish(message: StoredMessage): void {
    this.#log.push(message)
    if (this.#log.length > 2 * this.#retention) {
      this.#firstOffset += this.#log.length - this.#retention
      this.#log = this.#log.slice(this.#log.length - this.#retention)
    }
    for (const group of [...this.groups.values(), ...this.instances]) group.add(message)
  }

  deleteGroup(name: string): void {
    this.groups.get(name)?.close()
    this.groups.delete(name)
  }

  /** True when a send of that id waited for its time in any group. */
  cancelDelayed(id: string): boolean {
    return [...this.groups.values()].map((group) => group.cancelDelayed(id)).includes(true)
  }

  since(offset: number): readonly StoredMessage[] {
    return this.#log.slice(Math.max(0, offset - this.#firstOffset))
  }

  sinceTime(time: number): readonly StoredMessage[] {
    return this.#log.filter((message) => message.time >= time)
  }
}

/** Topics and groups in this process's memory. */
export class MemoryBroker {
  readonly clock: Clock
  readonly topics = new Map<string, MemoryTopic>()
  readonly #retention: number

  constructor(clock: Clock, retention: number) {
    this.clock = clock
    this.#retention = retention
  }

  topic(name: string, ordered: boolean): MemoryTopic {
    let topic = this.topics.get(name)
    if (topic === undefined) {
      topic = new MemoryTopic(ordered, this.#retention)
      this.topics.set(name, topic)
    }
    return topic
  }

  /** The topic and all that is in it are gone; members of its groups lose what they have in hand. */
  deleteTopic(name: string): void {
    const topic = this.topics.get(name)
    this.topics.delete(name)
    for (const group of topic === undefined ? [] : [...topic.groups.values(), ...topic.instances])
      group.close()
  }

  createGroup(topic: MemoryTopic): MemoryGroup {
    return new MemoryGroup(this.clock, topic.ordered)
  }

  close(): void {
    for (const topic of this.topics.values()) {
      for (const group of [...topic.groups.values(), ...topic.instances]) group.close()
    }
  }
}
