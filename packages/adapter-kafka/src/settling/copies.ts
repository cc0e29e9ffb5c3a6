import { type Clock, type Delivery, MessagingError, type Outcome } from '@waybill/core/driver'
import type { Settings } from '../options.ts'
import type { Publisher } from '../sending/publisher.ts'
import { planDelay } from '../wire/delays.ts'
import {
  type CopySource,
  dueAtOf,
  fromRecord,
  type OutboundRecord,
  toCopy,
  toLetter,
} from '../wire/messages.ts'
import type { GroupNames } from '../wire/names.ts'
import type { Waiting } from './partition.ts'

interface Pending {
  readonly record: OutboundRecord
  readonly done: (outcome: Outcome) => void
}

const noAnswer: Outcome = {
  ok: false,
  error: new MessagingError('failed', 'No answer for a copy', { retryable: true }),
}

/** The copies of one group's messages: collected by topic, then sent together. */
export class Copies {
  readonly #publisher: Publisher
  readonly #names: GroupNames
  readonly #clock: Clock
  readonly #settings: Settings
  /** Those under way, of all subscriptions of this process to the group. */
  readonly #underWay: Set<Promise<unknown>>
  #pending = new Map<string, Pending[]>()

  constructor(
    publisher: Publisher,
    names: GroupNames,
    clock: Clock,
    settings: Settings,
    underWay: Set<Promise<unknown>>,
  ) {
    this.#publisher = publisher
    this.#names = names
    this.#clock = clock
    this.#settings = settings
    this.#underWay = underWay
  }

  /** Back to the group at `dueAt`. */
  retry(delivery: Delivery, headers: Readonly<Record<string, string>>, dueAt: number): Promise<Outcome> {
    return this.#wait(delivery, headers, dueAt)
  }

  deadLetter(delivery: Delivery, headers: Readonly<Record<string, string>>): Promise<Outcome> {
    return this.#add(this.#names.dead, toLetter(delivery, headers))
  }

  /** The next stage of a wait. */
  moveOn({ message }: Waiting): Promise<Outcome> {
    const record = fromRecord(message)
    return this.#wait(record, record.headers, dueAtOf(message))
  }

  /** Sends what was collected. */
  send(): void {
    const pending = this.#pending
    this.#pending = new Map()
    for (const [topic, copies] of pending) {
      const sent = this.#sendTo(topic, copies)
      this.#underWay.add(sent)
      void sent.then(() => this.#underWay.delete(sent))
    }
  }

  #wait(record: CopySource, headers: Readonly<Record<string, string>>, dueAt: number): Promise<Outcome> {
    const now = this.#clock.now()
    const { hold, delayTiers } = this.#settings
    const plan = planDelay(dueAt - now, { holdMs: hold, tiersMs: delayTiers })
    if (plan.to === 'retry') return this.#add(this.#names.retry, toCopy(record, headers, { dueAt }))
    const { partition, waitMs } = plan
    return this.#add(this.#names.delay, toCopy(record, headers, { dueAt, partition, moveAt: now + waitMs }))
  }

  #add(topic: string, record: OutboundRecord): Promise<Outcome> {
    return new Promise((done) => {
      const list = this.#pending.get(topic) ?? []
      list.push({ record, done })
      this.#pending.set(topic, list)
    })
  }

  async #sendTo(topic: string, copies: readonly Pending[]): Promise<void> {
    const outcomes = await this.#publisher.send(
      topic,
      copies.map(({ record }) => record),
    )
    for (const [index, { done }] of copies.entries()) done(outcomes[index] ?? noAnswer)
  }
}
