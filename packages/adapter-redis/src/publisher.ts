import {
  MessagingError,
  type OutboundMessage,
  type Outcome,
  type TopicSpec,
  toMessagingError,
} from '@waybill/core/driver'
import type { SharedConnection } from './connection.ts'
import { encodeNotice, unsupportedOnNotices } from './notices.ts'
import type { Settings } from './options.ts'
import { failuresOf, type Publication, planPublications } from './publication.ts'
import { asArray, asNumber } from './reply.ts'
import { publish } from './scripts/publish.ts'
import type { KnownTopic, Topics } from './topics.ts'
import { fromErrorReply } from './wire.ts'

type Fail = (index: number, error: MessagingError) => void

const sent: Outcome = Object.freeze({ ok: true })

/** Sends batches: one script a topic, or a plain XADD when there is only one message. */
export class Publisher {
  readonly #shared: SharedConnection
  readonly #topics: Topics
  readonly #settings: Pick<Settings, 'durability' | 'mirrorAttributes'>

  constructor(
    shared: SharedConnection,
    topics: Topics,
    settings: Pick<Settings, 'durability' | 'mirrorAttributes'>,
  ) {
    this.#shared = shared
    this.#topics = topics
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
    const known = this.#topics.of(topic)
    if (known.mode === 'notices') return this.#notify(known, batch, indices, fail)
    const { mirrorAttributes, durability } = this.#settings
    const publications = planPublications(batch, indices, { ...known, mirrorAttributes })
    // All at once: they follow each other on one connection, which keeps their order.
    const calls = publications.map((publication) => this.#send(publication, fail))
    const kept = durability === undefined ? undefined : this.#whenKept(durability)
    // It concerns no sender how this goes; the next one does it again.
    known.housekeeping.run()?.catch(() => undefined)
    await Promise.all(calls)
    const error = await kept
    if (error !== undefined) for (const index of indices) fail(index, error)
  }

  async #send(publication: Publication, fail: Fail): Promise<void> {
    const { single, keys, args, indices } = publication
    try {
      if (single === undefined) {
        const reply = await this.#shared.run(publish, keys, args)
        for (const [index, error] of failuresOf(publication, reply)) fail(index, error)
      } else if ((await this.#shared.call('XADD', ...single)) === null) {
        const error = fromErrorReply('NOTOPIC the topic does not exist', 'Redis refused the message')
        for (const index of indices) fail(index, error)
      }
    } catch (thrown) {
      const error = toMessagingError(thrown, 'Publishing failed')
      for (const index of indices) fail(index, error)
    }
  }

  /** Whether what was written before on this connection is kept as durably as asked for; the error if it is not. */
  async #whenKept(durability: NonNullable<Settings['durability']>): Promise<MessagingError | undefined> {
    const { replicas, appendOnly, timeout } = durability
    try {
      const [local = 0, remote = 0] = appendOnly
        ? asArray(await this.#shared.call('WAITAOF', 1, replicas, timeout)).map(asNumber)
        : [1, asNumber(await this.#shared.call('WAIT', replicas, timeout))]
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
          await this.#shared.call('PUBLISH', keys.notices, encodeNotice(message))
        } catch (error) {
          fail(index, toMessagingError(error, 'Publishing failed'))
        }
      }),
    )
  }
}
