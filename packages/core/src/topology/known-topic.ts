import { isDeepStrictEqual } from 'node:util'
import type { GroupSpec, TopicSpec } from '../driver.ts'
import { MessagingError } from '../lib/errors.ts'
import type { Topic } from '../messages/topic.ts'

type Declared = Pick<GroupSpec, 'name' | 'types' | 'wishes'>

const settings = ['ordered', 'partitions', 'native'] as const

/** A topic as all its definitions together declare it: modules may each know their own group of it. */
export class KnownTopic {
  readonly spec: TopicSpec
  readonly #definitions = new WeakSet<Topic>()
  readonly #groups = new Map<string, Declared>()

  constructor(topic: Topic) {
    this.spec = topic
  }

  has(topic: Topic): boolean {
    return this.#definitions.has(topic)
  }

  /**
   * Adds what the definition declares; true if that is more than was known.
   *
   * @throws {MessagingError} `topology-mismatch` when it defines the topic otherwise.
   */
  add(topic: Topic): boolean {
    if (this.#definitions.has(topic)) return false
    const differing = settings.find((each) => !isDeepStrictEqual(topic[each], this.spec[each]))
    if (differing !== undefined) throw mismatch(this.spec, topic, differing)
    this.#definitions.add(topic)
    let isMore = false
    for (const group of topic.groups) {
      const known = this.#groups.get(group.name)
      const types = union(known?.types, group.types)
      // A group that is declared by its name alone keeps everything, and asks for nothing.
      const wishes = union(known?.wishes, group.named ? [] : group.types)
      isMore ||= types.length + wishes.length > (known?.types.length ?? 0) + (known?.wishes.length ?? 0)
      this.#groups.set(group.name, { name: group.name, types, wishes })
    }
    return isMore
  }

  /** All declared groups; one that a consumer brings has its patterns added to those it was declared with. */
  groups(brought?: GroupSpec): GroupSpec[] {
    const declared = [...this.#groups.values()].map((each): GroupSpec => ({ ...each, from: 'latest' }))
    if (brought === undefined) return declared
    const known = this.#groups.get(brought.name)
    const merged = {
      ...brought,
      types: union(known?.types, brought.types),
      wishes: union(known?.wishes, brought.wishes),
    }
    return [...declared.filter(({ name }) => name !== brought.name), merged]
  }
}

function union(known: readonly string[] = [], more: readonly string[]): readonly string[] {
  return [...new Set([...known, ...more])]
}

function mismatch(known: TopicSpec, other: TopicSpec, setting: (typeof settings)[number]): MessagingError {
  const [one, two] = [known, other].map((spec) => `${setting}: ${JSON.stringify(spec[setting])}`)
  const what = `Topic ${known.name} is defined twice in this program, once with ${one} and once with ${two}`
  return new MessagingError('topology-mismatch', `${what}; make both definitions equal, or share one`, {
    fate: 'not-sent',
  })
}
