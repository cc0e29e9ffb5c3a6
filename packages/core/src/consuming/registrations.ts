import { coversPattern } from '../handling/covers-pattern.ts'
import type { Registration } from '../handling/handlers.ts'
import { ConfigurationError } from '../lib/errors.ts'
import type { Topic } from '../messages/topic.ts'

/** A registration, and the topic it was made for; undefined: every topic of the consumer. */
export interface Bound extends Registration {
  readonly topic: Topic | undefined
}

/** The handlers of a consumer, each of which some message can reach. */
export class Registrations {
  readonly #group: string
  readonly #all: Bound[] = []

  constructor(group: string) {
    this.#group = group
  }

  get all(): readonly Bound[] {
    return this.#all
  }

  /** @throws {ConfigurationError} when no message would ever reach it, or there is no handler in it. */
  add(registration: Bound): void {
    const { definition, types } = registration
    const problem = this.#neverReached(registration)
    if (problem !== undefined) {
      const path = definition === undefined ? 'pattern' : 'type'
      throw new ConfigurationError(`handler of "${types}"`, [{ path, message: problem }])
    }
    if (typeof (registration.batch ?? registration).handle !== 'function') {
      const issue = { path: 'handler', message: 'expected a function' }
      throw new ConfigurationError(`handler of "${types}"`, [issue])
    }
    this.#all.push(registration)
  }

  /** What applies to messages of the topic. */
  of(topic: Topic): readonly Bound[] {
    return this.#all.filter((each) => (each.topic ?? topic).name === topic.name)
  }

  /**
   * The topics that the handlers name.
   *
   * @throws {ConfigurationError} when they name none.
   */
  topics(): readonly Topic[] {
    const topics = new Map<string, Topic>()
    for (const { topic } of this.#all) if (topic !== undefined) topics.set(topic.name, topic)
    if (topics.size > 0) return [...topics.values()]
    const message =
      this.#all.length === 0
        ? 'there is no handler; call on(definition, handler) before start()'
        : 'no handler names a topic; use on(topic, pattern, handler) for patterns'
    throw new ConfigurationError(`consumer "${this.#group}"`, [{ path: 'handlers', message }])
  }

  /** Why one of two handlers would never be called; undefined when each has its types. */
  #neverReached({ definition, topic, types }: Bound): string | undefined {
    const where = topic === undefined ? '' : ` of topic "${topic.name}"`
    for (const other of this.#all) {
      if (other.topic !== undefined && other.topic.name !== topic?.name) continue
      if (other.types === types && (other.topic === topic || definition === undefined)) {
        return `"${types}"${where} already has a handler in this consumer`
      }
      const isShadowed = definition === undefined && other.definition === undefined
      if (isShadowed && coversPattern(other.types, types)) {
        return `it would never be called: "${other.types}" was registered before it and takes all of its types; register it first`
      }
    }
    return undefined
  }
}
