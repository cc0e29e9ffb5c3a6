import {
  MessagingError,
  type OutboundMessage,
  type Outcome,
  type TopicSpec,
  toMessagingError,
} from '@waybill/core/driver'
import type { SharedConnection } from '../connection/connection.ts'
import { encodeNotice, unsupportedOnNotices } from '../connection/notices.ts'
import type { Settings } from '../options.ts'
import { publish } from '../scripts/publish.ts'
import type { KnownTopic, Topics } from '../topology/topics.ts'
import { fromErrorReply } from '../wire/messages.ts'
import { asArray, asNumber } from '../wire/reply.ts'
import { failuresOf, type Publication, planPublications } from './publication.ts'

type Fail = (index: number, error: MessagingError) => void

const sent: Outcome = Object.freeze({ ok: true })

export interface PublisherSettings extends Pick<Settings, 'mirrorAttributes'> {
  readonly shared: SharedConnection
  /** For topics with durability: WAIT holds up everything behind it, and settlements are not to wait for replicas. */
  readonly waiting: SharedConnection
  readonly topics: Topics
}

/** Sends batches: one script a topic, or a plain XADD when there is only one message. */
export class Publisher {
  readonly #settings: PublisherSettings

  constructor(settings: PublisherSettings) {
    this.#settings = settings
  }

  async publish(batch: readonly OutboundMessage[]): Promise<readonly Outcome[]> {
    const outcomes = new Array<Outcome>(batch.length).fill(sent)
    const fail: Fail = (index, error) => {
      outcomes[index] = { ok: false, error }
    }
    const byTopic = new Map<TopicSpec, number[]>()
    batch.forEach(({ topic }, index) => {
      const indices = byTopic.get(topic)
      if (indices === undefined) byTopic.set(topic, [index])
      else indices.push(index)
    })
    await Promise.all([...byTopic].map(([topic, indices]) => this.#publishTo(topic, batch, indices, fail)))
    return outcomes
  }

  async #publishTo(
    topic: TopicSpec,
    batch: readonly OutboundMessage[],
    indices: readonly number[],
    fail: Fail,
  ): Promise<void> {
    const { topics, shared, waiting, mirrorAttributes } = this.#settings
    const known = topics.of(topic)
    if (known.mode === 'notices') return this.#notify(known, batch, indices, fail)
    const { durability } = known
    const connection = durability === undefined ? shared : waiting
    const publications = planPublications(batch, indices, { ...known, mirrorAttributes })
    // All at once: they follow each other on one connection, which keeps their order.
    const calls = publications.map((publication) => this.#send(connection, publication, fail))
    // It concerns no sender how this goes; the next one does it again.
    known.housekeeping.run()?.catch(() => undefined)
    await Promise.all(calls)
    if (durability === undefined) return
    const error = await this.#whenKept(durability)
    if (error !== undefined) for (const index of indices) fail(index, error)
  }

  async #send(connection: SharedConnection, publication: Publication, fail: Fail): Promise<void> {
    const { single, keys, args, indices } = publication
    try {
      if (single === undefined) {
        const reply = await connection.run(publish, keys, args)
        for (const [index, error] of failuresOf(publication, reply)) fail(index, error)
      } else if ((await connection.call('XADD', ...single)) === null) {
        const error = fromErrorReply('NOTOPIC the topic does not exist', 'Redis refused the message')
        for (const index of indices) fail(index, error)
      }
    } catch (thrown) {
      const error = toMessagingError(thrown, 'Publishing failed')
      for (const index of indices) fail(index, error)
    }
  }

  /**
   * Whether what was written before on that connection is kept as durably as asked for; the error if it is not. Only once
   * the writes were answered: a script that the server had forgotten goes there a second time.
   */
  async #whenKept(durability: NonNullable<Settings['durability']>): Promise<MessagingError | undefined> {
    const { replicas, appendOnly, timeout } = durability
    const { waiting } = this.#settings
    try {
      const [local = 0, remote = 0] = appendOnly
        ? asArray(await waiting.call('WAITAOF', 1, replicas, timeout)).map(asNumber)
        : [1, asNumber(await waiting.call('WAIT', replicas, timeout))]
      if (local >= 1 && remote >= replicas) return undefined
      const file = local >= 1 ? '' : ', and the append-only file of the master has it not'
      const what = `Not as durable as asked for within ${timeout} ms: ${remote} of ${replicas} replicas have it${file}`
      return new MessagingError('timeout', what, { retryable: true, fate: 'unknown' })
    } catch (thrown) {
      const error = toMessagingError(thrown, 'WAIT failed')
      return new MessagingError(error.code, error.message, {
        retryable: error.retryable,
        cause: error,
        fate: 'unknown',
      })
    }
  }

  async #notify(
    { keys }: KnownTopic,
    batch: readonly OutboundMessage[],
    indices: readonly number[],
    fail: Fail,
  ): Promise<void> {
    await Promise.all(
      indices.map(async (index) => {
        const message = batch[index]
        if (message === undefined) return
        if (message.delayMs > 0) return fail(index, unsupportedOnNotices(message.topic.name, 'delayed sends'))
        try {
          await this.#settings.shared.call('PUBLISH', keys.notices, encodeNotice(message))
        } catch (error) {
          fail(index, toMessagingError(error, 'Publishing failed'))
        }
      }),
    )
  }
}
