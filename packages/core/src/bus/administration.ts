import { z } from 'zod'
import type { Driver, Administration as DriverAdministration } from '../driver.ts'
import type { Clock } from '../lib/clock.ts'
import { MessagingError } from '../lib/errors.ts'
import { patiently } from '../lib/patiently.ts'
import { lazily, parseOptions } from '../lib/validation.ts'
import { definedTopicSchema, nameSchema, type Topic } from '../messages/topic.ts'
import type { Provisioner } from '../topology/provisioner.ts'

type Verb = keyof DriverAdministration

/** What to do instead where the driver does not offer it. */
const alternatives: Readonly<Record<Verb, string>> = {
  listTopics: "ask the broker's own tools",
  listGroups: "ask the broker's own tools",
  deleteTopic: "delete it with the broker's own tools",
  deleteGroup: "delete it with the broker's own tools",
  cancelDelayed: 'let the handler check whether the message still matters',
}

const topicArgument = lazily(() => z.object({ topic: definedTopicSchema() }))
const groupArguments = lazily(() => z.object({ topic: definedTopicSchema(), group: nameSchema() }))
const delayedArguments = lazily(() => z.object({ topic: definedTopicSchema(), id: z.string().min(1) }))

/** What administration needs of its bus. */
export interface AdministrationHost {
  readonly driver: Driver
  readonly provisioner: Provisioner
  readonly clock: Clock
  /** Throws `closed` after the bus was closed. */
  ensureOpen(): void
}

/**
 * For operators and dashboards, which know no definitions: lists topics and groups, deletes them, cancels a delayed
 * message. Nothing else ever deletes anything. What the broker cannot do is refused as `unsupported`.
 *
 * ```ts
 * for (const topic of await bus.administration.listTopics()) {
 *   for (const group of await bus.administration.listGroups(topic)) {
 *     console.log(topic.name, group, await bus.group(topic, group).stats())
 *   }
 * }
 * ```
 */
export class Administration {
  readonly #host: AdministrationHost

  /** @internal Made by the bus; the parameters may change in any version. */
  constructor(host: AdministrationHost) {
    this.#host = host
  }

  /**
   * Waybill's topics at the broker, whoever created them. They declare no groups, so `bus.group` takes any name with them.
   * What fails for now is asked again for 5 s.
   *
   * ```ts
   * const names = (await bus.administration.listTopics()).map(({ name }) => name)
   * ```
   *
   * @throws {MessagingError} `unsupported`
   */
  async listTopics(): Promise<readonly Topic[]> {
    const topics = await patiently(this.#host.clock, () =>
      this.#run('listTopics', 'Listing topics', (own) => own.listTopics?.()),
    )
    return topics.map((topic) => ({ ...topic, groups: [] }))
  }

  /**
   * The names of a topic's groups that exist at the broker, declared or not. What fails for now is asked again for 5 s.
   *
   * ```ts
   * const groups = await bus.administration.listGroups(orders)
   * ```
   *
   * @throws {MessagingError} `unsupported`
   */
  async listGroups(topic: Topic): Promise<readonly string[]> {
    parseOptions(topicArgument(), { topic }, 'topic')
    return patiently(this.#host.clock, () =>
      this.#run('listGroups', 'Listing groups', (own) => own.listGroups?.(topic)),
    )
  }

  /**
   * Deletes the topic with all its groups, messages, retries and dead letters, for good. It is no error if the
   * topic does not exist. A bus that uses the topic creates it again, if it may.
   *
   * ```ts
   * await bus.administration.deleteTopic(orders)
   * ```
   *
   * @throws {MessagingError} `unsupported`
   */
  async deleteTopic(topic: Topic): Promise<void> {
    parseOptions(topicArgument(), { topic }, 'topic')
    this.#host.provisioner.forget(topic)
    await this.#run('deleteTopic', 'Deleting topics', (own) => own.deleteTopic?.(topic))
  }

  /**
   * Deletes the group with its waiting messages, retries and dead letters, for good. It is no error if the group does not
   * exist.
   *
   * ```ts
   * await bus.administration.deleteGroup(orders, 'former-billing')
   * ```
   *
   * @throws {MessagingError} `unsupported`
   */
  async deleteGroup(topic: Topic, group: string): Promise<void> {
    parseOptions(groupArguments(), { topic, group }, 'group')
    this.#host.provisioner.forget(topic)
    await this.#run('deleteGroup', 'Deleting groups', (own) => own.deleteGroup?.(topic, group))
  }

  /**
   * Cancels a delayed message that is not due yet, for every group. Resolves with false if there is none: it was due
   * already, was cancelled before, or was never sent.
   *
   * ```ts
   * const { id } = await producer.send(PaymentReminder, order, { delay: '3d' })
   * const wasCancelled = await bus.administration.cancelDelayed(payments, id)
   * ```
   *
   * @throws {MessagingError} `unsupported`
   */
  async cancelDelayed(topic: Topic, id: string): Promise<boolean> {
    parseOptions(delayedArguments(), { topic, id }, 'delayed message')
    const what = 'Cancelling a delayed message'
    return this.#run('cancelDelayed', what, (own) => own.cancelDelayed?.(topic, id))
  }

  async #run<Result>(
    verb: Verb,
    what: string,
    call: (own: DriverAdministration) => Promise<Result> | undefined,
  ): Promise<Result> {
    this.#host.ensureOpen()
    const { administration, name } = this.#host.driver
    const running = call(administration)
    if (running !== undefined) return running
    const next = `Instead: ${alternatives[verb]}`
    throw new MessagingError('unsupported', `${what} is not supported by the ${name} driver. ${next}`)
  }
}
