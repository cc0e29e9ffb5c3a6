import type { Driver, GroupSpec, TopicSpec, Topology, TopologyReport } from '../driver.ts'
import { MessagingError } from '../lib/errors.ts'
import type { Topic } from '../messages/topic.ts'
import { KnownTopic } from './known-topic.ts'

export type ProvisionMode = 'create' | 'verify' | 'none'

interface Entry {
  readonly known: KnownTopic
  /** The apply in progress or done; undefined when there is something to apply. */
  applied: Promise<TopologyReport> | undefined
  isReady: boolean
}

// How many topics are remembered. The oldest is forgotten first, and checked again when it is next used.
const remembered = 10_000

/** Makes or checks topology at the first use of each topic and group, and again when a definition declares more. */
export class Provisioner {
  readonly #driver: Driver
  readonly #mode: ProvisionMode
  readonly #entries = new Map<string, Entry>()

  constructor(driver: Driver, mode: ProvisionMode) {
    this.#driver = driver
    this.#mode = mode
  }

  /**
   * Registers a definition that is used: from now on, what is sent to the topic is kept for its groups too.
   *
   * @throws {MessagingError} `topology-mismatch` when the topic was defined otherwise.
   */
  learn(topic: Topic): void {
    if (this.#entries.get(topic.name)?.known.has(topic) !== true) this.#entryOf(topic)
  }

  /** A topic that has been used, by its name. */
  specOf(name: string): TopicSpec | undefined {
    return this.#entries.get(name)?.known.spec
  }

  /** True when nothing is left to wait for. */
  isReady(topic: Topic): boolean {
    if (this.#mode === 'none') return true
    const entry = this.#entries.get(topic.name)
    return entry?.isReady === true && entry.known.has(topic)
  }

  /** Several topics and their declared groups as one topology, so that one error names all that is missing. */
  async topics(topics: readonly Topic[], signal?: AbortSignal): Promise<TopologyReport> {
    if (topics.length === 0) return { created: [], missing: [] }
    const entries = new Set(topics.map((topic) => this.#entryOf(topic)))
    const wanted = [...entries].map(({ known }) => ({ topic: known.spec, groups: known.groups() }))
    const applied = this.#apply({ topics: wanted }, signal)
    for (const entry of entries) entry.applied = applied
    return this.#finish(applied, [...entries])
  }

  /** What of the topics and their groups is missing, whatever the mode. Changes nothing, and remembers nothing. */
  async missing(topics: readonly Topic[], signal?: AbortSignal): Promise<TopologyReport> {
    const all = new Map<string, KnownTopic>()
    for (const topic of topics) {
      const known = all.get(topic.name) ?? new KnownTopic(topic)
      known.add(topic)
      all.set(topic.name, known)
    }
    if (all.size === 0) return { created: [], missing: [] }
    const wanted = [...all.values()].map((known) => ({ topic: known.spec, groups: known.groups() }))
    return this.#driver.apply(this.#fitting({ topics: wanted }), 'verify', signal)
  }

  /** The topic and its declared groups; single flight, remembered until `forget`. */
  async topic(topic: Topic): Promise<TopologyReport> {
    const entry = this.#entryOf(topic)
    if (entry.applied !== undefined) {
      try {
        return await entry.applied
      } catch (error) {
        // Somebody else has given it up, not we.
        if (!MessagingError.is(error) || error.code !== 'aborted') throw error
        return this.topic(topic)
      }
    }
    const { known } = entry
    const applied = this.#apply({ topics: [{ topic: known.spec, groups: known.groups() }] })
    entry.applied = applied
    return this.#finish(applied, [entry])
  }

  /**
   * What a consumer needs: the topic with its group, or without for a broadcast. Asked of the broker each time, since it is
   * asked after a loss too.
   */
  async subscribed(topic: Topic, group: GroupSpec | undefined, signal: AbortSignal): Promise<TopologyReport> {
    const { known } = this.#entryOf(topic)
    return this.#apply({ topics: [{ topic: known.spec, groups: known.groups(group) }] }, signal)
  }

  /** Whether applying the topology again may help against the error: it was deleted, and is ours to create. */
  canMend({ code }: MessagingError): boolean {
    return code === 'topology-missing' && this.#mode === 'create'
  }

  /** The broker said that something of the topic is missing: look again at its next use. */
  forget({ name }: { readonly name: string }): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    entry.applied = undefined
    entry.isReady = false
  }

  #entryOf(topic: Topic): Entry {
    let entry = this.#entries.get(topic.name)
    if (entry === undefined) {
      entry = { known: new KnownTopic(topic), applied: undefined, isReady: false }
      this.#forgetOldest()
      this.#entries.set(topic.name, entry)
    }
    if (entry.known.add(topic)) this.forget(topic)
    return entry
  }

  // One that is being applied stays, or whoever waits for it would find it unknown, and begin again for ever.
  #forgetOldest(): void {
    for (const [name, { applied, isReady }] of this.#entries) {
      if (this.#entries.size < remembered) return
      if (applied === undefined || isReady) this.#entries.delete(name)
    }
  }

  async #finish(applied: Promise<TopologyReport>, entries: readonly Entry[]): Promise<TopologyReport> {
    // Unless there is more to apply by now.
    const current = () => entries.filter((entry) => entry.applied === applied)
    try {
      const report = await applied
      for (const entry of current()) entry.isReady = true
      return report
    } catch (error) {
      for (const entry of current()) entry.applied = undefined
      throw error
    }
  }

  async #apply(topology: Topology, signal?: AbortSignal): Promise<TopologyReport> {
    if (this.#mode === 'none') return { created: [], missing: [] }
    const report = await this.#driver.apply(this.#fitting(topology), this.#mode, signal)
    if (report.missing.length > 0) throw missingTopology(report.missing)
    return report
  }

  #fitting(topology: Topology): Topology {
    return this.#driver.capabilities.changesFilters ? topology : unfiltered(topology)
  }
}

// A filter that cannot be changed must not leave out anything.
function unfiltered({ topics }: Topology): Topology {
  return {
    topics: topics.map(({ topic, groups }) => ({
      topic,
      groups: groups.map((group) => ({ ...group, types: ['#'] })),
    })),
  }
}

function missingTopology(missing: readonly string[]): MessagingError {
  const what = `Missing at the broker, and provision is 'verify': ${missing.join(', ')}`
  return new MessagingError('topology-missing', `${what}. Create it, or connect with provision: 'create'`)
}
