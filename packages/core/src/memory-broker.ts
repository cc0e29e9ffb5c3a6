import type { Clock } from './clock.ts'
import { MemoryGroup, type StoredMessage } from './memory-group.ts'

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

  publish(message: StoredMessage, delayMs: number): void {
    this.#log.push(message)
    if (this.#log.length > 2 * this.#retention) {
      this.#firstOffset += this.#log.length - this.#retention
      this.#log = this.#log.slice(-this.#retention)
    }
    for (const group of [...this.groups.values(), ...this.instances]) group.add(message, delayMs)
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
  #whenIdle: (() => void)[] = []

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

  createGroup(topic: MemoryTopic): MemoryGroup {
    return new MemoryGroup(this.clock, topic.ordered, () => this.#onIdle())
  }

  /** Nothing is waiting or in hand; what is delayed does not count. */
  get isIdle(): boolean {
    return [...this.topics.values()].every((topic) =>
      [...topic.groups.values(), ...topic.instances].every(
        ({ waiting, inFlight }) => waiting + inFlight === 0,
      ),
    )
  }

  idle(): Promise<void> {
    return this.isIdle ? Promise.resolve() : new Promise((resolve) => this.#whenIdle.push(resolve))
  }

  close(): void {
    for (const topic of this.topics.values()) {
      for (const group of [...topic.groups.values(), ...topic.instances]) group.close()
    }
  }

  #onIdle(): void {
    if (this.#whenIdle.length === 0 || !this.isIdle) return
    for (const resolve of this.#whenIdle.splice(0)) resolve()
  }
}
