import type { DeliveryInHand } from '../deliveries/delivery.ts'
import type { Driver, TopicSpec } from '../driver.ts'
import type { Emit } from '../events/events.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { type MessagingError, toMessagingError } from '../lib/errors.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'
import { answerOf } from './store-probe.ts'

interface Question {
  readonly delivery: DeliveryInHand
  readonly answer: (isWanted: boolean) => void
}

// Types come from traffic.
const remembered = 1000

// All later questions wait for the current one. This is longer than any driver should take to give up.
const patienceMs = 60_000

/**
 * Knows which types a group has ever asked for, as the broker tells it. One call is under way at a time, and asks for all
 * that came meanwhile. A wish is never taken back, so a yes is remembered; a no holds only for what came before it was
 * asked for, since somebody may have joined the group with a new wish in between.
 */
export class WantedTypes {
  readonly #driver: Driver
  readonly #topic: TopicSpec
  readonly #group: string
  readonly #clock: Clock
  readonly #emit: Emit
  readonly #wanted = new Set<string>()
  #questions: Question[] = []
  #isAsking = false
  #error: MessagingError | undefined

  constructor(
    topic: TopicSpec,
    group: string,
    host: { readonly driver: Driver; readonly clock: Clock; readonly emit: Emit },
  ) {
    this.#topic = topic
    this.#group = group
    this.#driver = host.driver
    this.#clock = host.clock
    this.#emit = host.emit
  }

  /** Why the broker cannot be asked at the moment. */
  get error(): MessagingError | undefined {
    return this.#error
  }

  /** Waits for as long as the broker does not answer. False, too, when the delivery ends meanwhile. */
  isWanted(delivery: DeliveryInHand): Promise<boolean> {
    if (this.#wanted.has(delivery.message.type)) return Promise.resolve(true)
    return new Promise((resolve) => {
      delivery.onEnd(() => resolve(false))
      this.#questions.push({ delivery, answer: resolve })
      if (!this.#isAsking) void this.#askAll()
    })
  }

  async #askAll(): Promise<void> {
    this.#isAsking = true
    // So that what is received together is asked for together.
    await Promise.resolve()
    for (let failures = 0; this.#questions.length > 0; ) {
      const asked = this.#questions.filter(({ delivery }) => !delivery.ended)
      this.#questions = []
      if (asked.length === 0) continue
      try {
        await this.#ask(asked)
        failures = 0
        this.#error = undefined
      } catch (thrown) {
        failures += 1
        this.#note(thrown)
        this.#questions.unshift(...asked)
        await sleep(this.#clock, reconnectBackoff(failures))
      }
    }
    this.#error = undefined
    this.#isAsking = false
  }

  async #ask(questions: readonly Question[]): Promise<void> {
    const types = [...new Set(questions.map(({ delivery }) => delivery.message.type))]
    const ask = () => this.#driver.wanted(this.#topic, this.#group, types)
    const answers = await answerOf(this.#clock, patienceMs, ask)
    const wanted = new Set(types.filter((_, index) => answers[index] !== false))
    if (this.#wanted.size + wanted.size > remembered) this.#wanted.clear()
    for (const type of wanted) this.#wanted.add(type)
    for (const { delivery, answer } of questions) {
      delivery.onEnd(undefined)
      answer(wanted.has(delivery.message.type))
    }
  }

  #note(thrown: unknown): void {
    this.#error = toMessagingError(thrown, 'The driver failed to say what the group wants')
    const what = `asking for the wishes of group ${this.#group}, topic ${this.#topic.name}`
    this.#emit('failure', { what, error: this.#error })
  }
}
