import type { Driver, GroupSpec, Topology, TopologyReport } from '../driver.ts'
import { MessagingError } from '../lib/errors.ts'
import type { Topic } from '../messages/topic.ts'

export type ProvisionMode = 'create' | 'verify' | 'none'

/** What a declared group has asked for. One that is declared by its name alone keeps everything, and asks for nothing. */
function wishesOf({ types, named }: Topic['groups'][number]): readonly string[] {
  return named ? [] : types
}

function topologyOf(topic: Topic, group?: GroupSpec): Topology {
  const declared = topic.groups
    .filter(({ name }) => name !== group?.name)
    .map((each): GroupSpec => ({ ...each, wishes: wishesOf(each), from: 'latest' }))
  return { topics: [{ topic, groups: group === undefined ? declared : [...declared, group] }] }
}

/** Makes or checks topology at the first use of each topic and group, once. */
export class Provisioner {
  readonly #driver: Driver
  readonly #mode: ProvisionMode
  readonly #topics = new Map<string, Promise<TopologyReport>>()
  readonly #ready = new Set<string>()

  constructor(driver: Driver, mode: ProvisionMode) {
    this.#driver = driver
    this.#mode = mode
  }

  /** True when nothing is left to wait for. */
  isReady(topic: Topic): boolean {
    return this.#mode === 'none' || this.#ready.has(topic.name)
  }

  /** Several topics and their declared groups as one topology, so that one error names all that is missing. */
  async topics(topics: readonly Topic[]): Promise<TopologyReport> {
    if (topics.length === 0) return { created: [], missing: [] }
    const report = await this.#apply({ topics: topics.flatMap((topic) => topologyOf(topic).topics) })
    for (const topic of topics) this.#ready.add(topic.name)
    return report
  }

  /** The topic and its declared groups; single flight, remembered until `forget`. */
  async topic(topic: Topic): Promise<TopologyReport> {
    const current = this.#topics.get(topic.name)
    if (current !== undefined) return current
    const applied = this.#apply(topologyOf(topic))
    this.#topics.set(topic.name, applied)
    try {
      const report = await applied
      this.#ready.add(topic.name)
      return report
    } catch (error) {
      this.forget(topic)
      throw error
    }
  }

  /** The topic with a group of a consumer's; asked of the broker each time, since it is asked after a loss too. */
  group(topic: Topic, group: GroupSpec): Promise<TopologyReport> {
    // A declared group keeps the patterns it was declared with, beside those of its consumers.
    const declared = topic.groups.find(({ name }) => name === group.name)
    if (declared === undefined) return this.#apply(topologyOf(topic, group))
    const types = [...new Set([...declared.types, ...group.types])]
    const wishes = [...new Set([...wishesOf(declared), ...group.wishes])]
    return this.#apply(topologyOf(topic, { ...group, types, wishes }))
  }

  /** Whether applying the topology again may help against the error: it was deleted, and is ours to create. */
  canMend({ code }: MessagingError): boolean {
    return code === 'topology-missing' && this.#mode === 'create'
  }

  /** The broker said that something of the topic is missing: look again at its next use. */
  forget(topic: Topic): void {
    this.#topics.delete(topic.name)
    this.#ready.delete(topic.name)
  }

  async #apply(topology: Topology): Promise<TopologyReport> {
    if (this.#mode === 'none') return { created: [], missing: [] }
    const report = await this.#driver.apply(topology, this.#mode)
    if (report.missing.length > 0) throw missingTopology(report.missing)
    return report
  }
}

function missingTopology(missing: readonly string[]): MessagingError {
  const what = `Missing at the broker, and provision is 'verify': ${missing.join(', ')}`
  return new MessagingError('topology-missing', `${what}. Create it, or connect with provision: 'create'`)
}
