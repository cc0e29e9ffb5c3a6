import type { Message, Topic } from '@waybill/core'
import type { UndecodedMessage } from '@waybill/core/tools'

interface Entry {
  readonly message: Message<UndecodedMessage>
  readonly receivedAt: number
  /** Of all copies that came. */
  readonly ids: Set<string>
}

/** What came to one side, by the numbers that the sender gave. */
export class Manifest {
  readonly entries = new Map<string, Entry>()
  duplicates = 0
  /** The positions of each key on ordered topics, in the order in which they first came. */
  readonly #byKey = new Map<string, number[]>()

  get size(): number {
    return this.entries.size
  }

  enter(topic: Topic, message: Message): void {
    if (!isUndecoded(message)) throw new Error('not as it travels')
    const { number = '', position } = message.data.headers
    const known = this.entries.get(number)
    if (known !== undefined) {
      this.duplicates += 1
      known.ids.add(message.id)
      return
    }
    this.entries.set(number, { message, receivedAt: Date.now(), ids: new Set([message.id]) })
    if (!topic.ordered || position === undefined) return
    const positions = this.#byKey.get(message.key ?? '') ?? []
    positions.push(Number(position))
    this.#byKey.set(message.key ?? '', positions)
  }

  /** The keys whose messages came in another order than they were sent. */
  disorder(): readonly string[] {
    return [...this.#byKey].flatMap(([key, positions]) => {
      const at = positions.findIndex((position, index) => position !== index + 1)
      return at < 0 ? [] : [`of ${key}, ${positions[at]} came instead of ${at + 1}`]
    })
  }
}

function isUndecoded(message: Message): message is Message<UndecodedMessage> {
  const { data } = message
  return typeof data === 'object' && data !== null && 'lasting' in data
}
