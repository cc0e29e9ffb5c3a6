import { z } from 'zod'
import { DeadLetters } from '../dead-letters/dead-letters.ts'
import type { Driver, GroupStats, SeekPosition } from '../driver.ts'
import { BodyReader } from '../encoding/body-reader.ts'
import type { Formats } from '../encoding/formats.ts'
import type { Clock } from '../lib/clock.ts'
import { patiently } from '../lib/patiently.ts'
import { lazily, parseOptions } from '../lib/validation.ts'
import type { Topic } from '../messages/topic.ts'
import { requireFeature } from '../topology/features.ts'

/** Where a group continues; `time` is by the broker's clock, `offset` in the broker's own notation. */
export type Position =
  | { readonly to: 'earliest' | 'latest' }
  | { readonly to: 'time'; readonly time: Date }
  | { readonly to: 'offset'; readonly offset: string; readonly partition?: number }

const positionSchema = lazily(() =>
  z.discriminatedUnion('to', [
    z.strictObject({ to: z.literal('earliest') }),
    z.strictObject({ to: z.literal('latest') }),
    z.strictObject({
      to: z.literal('time'),
      time: z.date('expected a valid date').transform((date) => date.getTime()),
    }),
    z.strictObject({
      to: z.literal('offset'),
      offset: z.string().min(1),
      partition: z.int().min(0).default(0),
    }),
  ]),
)

/** What a group needs of its bus. */
export interface GroupHost {
  readonly driver: Driver
  readonly clock: Clock
  readonly formats: Formats
  /** Throws `closed` after the bus was closed. */
  ensureOpen(): void
}

/**
 * One group of a topic: its dead letters, its figures, its position. Made by `bus.group()`.
 *
 * ```ts
 * const billing = bus.group(orders, 'billing')
 * const { waiting, dead } = await billing.stats()
 * if (dead) await billing.deadLetters.replayAll()
 * ```
 */
export class Group {
  readonly topic: Topic
  readonly name: string
  readonly deadLetters: DeadLetters
  readonly #host: GroupHost

  /** @internal Made by `bus.group()`; the parameters may change in any version. */
  constructor(host: GroupHost, topic: Topic, name: string) {
    this.#host = host
    this.topic = topic
    this.name = name
    const open = () => {
      host.ensureOpen()
      requireFeature(host.driver, 'deadLetters', `dead letters of group "${name}"`)
      return host.driver.deadLetters(topic, name)
    }
    host.formats.learn(topic)
    const reader = new BodyReader(host.formats, topic.name, name)
    const { clock, formats, driver } = host
    this.deadLetters = new DeadLetters({ clock, formats, driver, reader, open }, topic, name)
  }

  /**
   * How many messages wait, are being handled, are delayed and are dead. A figure that the broker does not provide is
   * undefined. What fails for now is asked again for 5 s.
   *
   * ```ts
   * const { waiting, inFlight, delayed, dead } = await bus.group(orders, 'billing').stats()
   * ```
   */
  async stats(): Promise<GroupStats> {
    this.#host.ensureOpen()
    requireFeature(this.#host.driver, 'stats', `stats of group "${this.name}"`)
    const { clock, driver } = this.#host
    return patiently(clock, () => driver.stats(this.topic, this.name))
  }

  /**
   * Moves the group to another position of its topic. Needs the feature `seek`. Some brokers refuse it while members are
   * active.
   *
   * ```ts
   * await bus.group(orders, 'billing').seek({ to: 'time', time: new Date('2026-01-31T08:00:00Z') })
   * ```
   *
   * @throws {ConfigurationError} when the position is not valid.
   * @throws {MessagingError} `unsupported`, or what the broker answered.
   */
  async seek(position: Position): Promise<void> {
    this.#host.ensureOpen()
    const parsed: SeekPosition = parseOptions(positionSchema(), position, 'seek', 'position')
    requireFeature(this.#host.driver, 'seek', `seek of group "${this.name}"`)
    await this.#host.driver.seek(this.topic, this.name, parsed)
  }
}
