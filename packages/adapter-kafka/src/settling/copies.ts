import type { Clock, Outcome } from '@waybill/core/driver'
import type { KafkaSettings } from '../options.ts'
import { isItselfTooLarge, isTooLarge, type MakeRoom, noAnswer, sendLarge } from '../sending/large-records.ts'
import type { Publisher } from '../sending/publisher.ts'
import { planDelay } from '../wire/delays.ts'
import { toLetter } from '../wire/letters.ts'
import { type CopySource, dueAtOf, fromRecord, toCopy, turnOf } from '../wire/messages.ts'
import type { GroupNames } from '../wire/names.ts'
import type { ProducedRecord } from '../wire/records.ts'
import type { Waiting } from './partition.ts'
import type { Rotation } from './rotation.ts'

export interface CopiesOptions {
  readonly publisher: Publisher
  readonly names: GroupNames
  readonly clock: Clock
  readonly settings: KafkaSettings
  /** Where retries come back; undefined on ordered topics, where a key has to stay with its member. */
  readonly rotation: Rotation | undefined
  /** Those under way, of all subscriptions of this process to the group. */
  readonly underWay: Set<Promise<unknown>>
  readonly makeRoom: MakeRoom
}

interface Pending {
  readonly record: ProducedRecord
  /** Instead, if the record is too large however it is sent. */
  readonly smaller?: ProducedRecord
  readonly done: (outcome: Outcome) => void
}

function sourceOf({ partition, record }: Waiting): CopySource {
  return { record, ...(partition.kind === 'main' && { partition: partition.index }) }
}

/** The copies of one group's messages: collected by topic, then sent together. */
export class Copies {
  readonly #options: CopiesOptions
  readonly #pending = new Map<string, Pending[]>()
  readonly #sending = new Set<string>()
  /** Topics that did not take the copies sent to them last. */
  readonly #refusing = new Set<string>()

  constructor(options: CopiesOptions) {
    this.#options = options
  }

  /** Whether copies are written at the moment, as far as is known. */
  get areWritten(): boolean {
    return this.#refusing.size === 0
  }

  /** Back to the group at `dueAt`. */
  retry(waiting: Waiting, headers: Readonly<Record<string, string>>, dueAt: number): Promise<Outcome> {
    return this.#wait(waiting, headers, dueAt, this.#options.rotation?.next(waiting.partition))
  }

  deadLetter(waiting: Waiting, headers: Readonly<Record<string, string>>): Promise<Outcome> {
    const source = sourceOf(waiting)
    const { partition, offset } = waiting
    const bodyAt = { topic: partition.topic, partition: partition.index, offset }
    const { dead } = this.#options.names
    return this.#add(dead, toLetter(source, headers), toLetter(source, headers, bodyAt))
  }

  /** The next stage of a wait. */
  moveOn(waiting: Waiting): Promise<Outcome> {
    const { record, partition } = waiting
    const place = { topic: partition.topic, partition: partition.index }
    // A tombstone's made-up headers are made anew where it is delivered.
    const { headers } = fromRecord({ ...record, value: record.value ?? Buffer.alloc(0) }, place)
    const { rotation } = this.#options
    const turn = rotation === undefined ? undefined : (turnOf(record) ?? rotation.next(partition))
    return this.#wait(waiting, headers, dueAtOf(record), turn)
  }

  /** Sends what was collected; copies added for a topic in the meantime go together in the next batch. */
  send(): void {
    const { underWay } = this.#options
    for (const topic of this.#pending.keys()) {
      if (this.#sending.has(topic)) continue
      this.#sending.add(topic)
      const sent = this.#sendAll(topic)
      underWay.add(sent)
      void sent.then(() => underWay.delete(sent))
    }
  }

  async #sendAll(topic: string): Promise<void> {
    for (let copies = this.#pending.get(topic); copies !== undefined; copies = this.#pending.get(topic)) {
      this.#pending.delete(topic)
      await this.#sendTo(topic, copies)
    }
    this.#sending.delete(topic)
  }

  /** `turn`: the retry partition in which it comes back in the end. */
  #wait(
    waiting: Waiting,
    headers: Readonly<Record<string, string>>,
    dueAt: number,
    turn: number | undefined,
  ): Promise<Outcome> {
    const { clock, settings, names } = this.#options
    const now = clock.now()
    const source = sourceOf(waiting)
    const plan = planDelay(dueAt - now, { holdMs: settings.hold, tiersMs: settings.delayTiers })
    if (plan.to === 'retry') {
      return this.#add(
        names.retry,
        toCopy(source, headers, { dueAt, ...(turn !== undefined && { partition: turn }) }),
      )
    }
    const { partition, waitMs } = plan
    const stage = { dueAt, partition, moveAt: now + waitMs, ...(turn !== undefined && { turn }) }
    return this.#add(names.delay, toCopy(source, headers, stage))
  }

  #add(topic: string, record: ProducedRecord, smaller?: ProducedRecord): Promise<Outcome> {
    return new Promise((done) => {
      const list = this.#pending.get(topic) ?? []
      list.push({ record, done, ...(smaller !== undefined && { smaller }) })
      this.#pending.set(topic, list)
    })
  }

  async #sendTo(topic: string, collected: readonly Pending[]): Promise<void> {
    let copies = collected
    const { publisher } = this.#options
    // One of them tries whether the topic is still not to be written: any, because it may be that one's own fault.
    const probe = copies[Math.floor(Math.random() * copies.length)]
    if (this.#refusing.has(topic) && probe !== undefined) {
      const [outcome = noAnswer] = await publisher.send(topic, [probe.record])
      if (!outcome.ok && !isItselfTooLarge(outcome, probe.record)) {
        for (const { done } of copies) done(outcome)
        return
      }
      if (outcome.ok) {
        this.#refusing.delete(topic)
        probe.done(outcome)
        copies = copies.filter((copy) => copy !== probe)
        if (copies.length === 0) return
      }
    }
    const outcomes = await publisher.send(
      topic,
      copies.map(({ record }) => record),
    )
    for (const [index, copy] of copies.entries()) {
      let outcome = outcomes[index] ?? noAnswer
      if (isItselfTooLarge(outcome, copy.record)) outcome = await this.#sendLarge(topic, copy)
      if (outcome.ok) this.#refusing.delete(topic)
      else this.#refusing.add(topic)
      copy.done(outcome)
    }
  }

  async #sendLarge(topic: string, { record, smaller }: Pending): Promise<Outcome> {
    const outcome = await sendLarge(this.#options, topic, record)
    if (smaller === undefined || !isTooLarge(outcome)) return outcome
    return sendLarge(this.#options, topic, smaller)
  }
}
