import { MessagingError, type OutboundMessage, type Outcome, toMessagingError } from '@waybill/core/driver'
import { done, failed, withheld } from '@waybill/core/driver-kit'
import type { MemoryWatch } from '../connection/memory-watch.ts'
import type { SharedConnection } from '../connection/shared-connection.ts'
import { fromErrorReply, isMemoryFull, unsupportedOnNotices } from '../errors.ts'
import type { RedisSettings } from '../options.ts'
import type { KnownTopic, KnownTopics } from '../topology/known-topics.ts'
import { encodeNotice } from '../wire/notices.ts'
import { asArray, asNumber } from '../wire/reply.ts'
import { failuresOf, type Publication, planPublications } from './publication.ts'

type Fail = (index: number, error: MessagingError) => void

export interface PublisherSettings extends Pick<RedisSettings, 'mirrorAttributes'> {
  readonly shared: SharedConnection
  /** For topics with durability: WAIT holds up everything behind it, and settlements are not to wait for replicas. */
  readonly waiting: SharedConnection
  readonly topics: KnownTopics
  readonly memory: MemoryWatch
}

/** Sends batches: a script a topic, or a plain XADD when there is only one message. */
export class Publisher {
  readonly #settings: PublisherSettings

  constructor(settings: PublisherSettings) {
    this.#settings = settings
  }

  async publish(batch: readonly OutboundMessage[]): Promise<readonly Outcome[]> {
    const { topics, memory } = this.#settings
    const outcomes = new Array<Outcome>(batch.length).fill(done)
    const fail: Fail = (index, error) => {
      outcomes[index] = failed(error)
      if (isMemoryFull(error)) memory.refused(error)
    }
    const byTopic = new Map<KnownTopic, number[]>()
    batch.forEach(({ topic }, index) => {
      const known = topics.of(topic)
      const indices = byTopic.get(known)
      if (indices === undefined) byTopic.set(known, [index])
      else indices.push(index)
    })
    await Promise.all([...byTopic].map(([known, indices]) => this.#publishTo(known, batch, indices, fail)))
    if (outcomes.every(({ ok }) => ok)) memory.accepted()
    return outcomes
  }

  async #publishTo(
    known: KnownTopic,
    batch: readonly OutboundMessage[],
    indices: readonly number[],
    fail: Fail,
  ): Promise<void> {
    if (known.mode === 'notices') return this.#notify(known, batch, indices, fail)
    const { shared, waiting, mirrorAttributes } = this.#settings
    const { durability, ordered } = known
    const connection = durability === undefined ? shared : waiting
    const publications = planPublications(batch, indices, { ...known, mirrorAttributes })
    // No sender needs to know how this goes; the next one does it again.
    known.housekeeping.run()?.catch(() => undefined)
    if (ordered) await this.#inTurn(connection, publications, batch, fail)
    // They follow each other on one connection, which keeps their order.
    else await Promise.all(publications.map((each) => this.#send(connection, known, each, fail)))
    if (durability === undefined) return
    const error = await this.#whenKept(durability)
    if (error !== undefined) for (const index of indices) fail(index, error)
  }

  /** One call after the other. Once messages have failed, what is left of their keys is withheld. */
  async #inTurn(
    connection: SharedConnection,
    publications: readonly Publication[],
    batch: readonly OutboundMessage[],
    fail: Fail,
  ): Promise<void> {
    const failed = new Set<string | undefined>()
    const failAndHold: Fail = (index, error) => {
      failed.add(batch[index]?.key)
      fail(index, error)
    }
    for (const publication of publications) {
      const held = publication.indices.filter((index) => failed.has(batch[index]?.key))
      if (held.length === 0) await this.#send(connection, undefined, publication, failAndHold)
      // Withholds a whole call rather than making another one without those messages.
      else for (const index of publication.indices) failAndHold(index, withheld(batch[index]?.key).error)
    }
  }

  async #send(
    connection: SharedConnection,
    known: KnownTopic | undefined,
    publication: Publication,
    fail: Fail,
  ): Promise<void> {
    const { single, call, indices } = publication
    try {
      if (single === undefined || known === undefined) {
        const answer = await connection.run('publish', call)
        for (const [index, error] of failuresOf(publication, answer)) fail(index, error)
        return
      }
      const added = connection.call('XADD', ...single.args)
      // A consumer that misses it finds out by polling, a little later.
      connection.call('PUBLISH', known.keys.wake, single.line).catch(() => undefined)
      if ((await added) === null)
        throw fromErrorReply('NOTOPIC the topic does not exist', 'Redis refused the message')
    } catch (thrown) {
      const error = toMessagingError(thrown, 'Publishing failed')
      for (const index of indices) fail(index, error)
    }
  }

  /**
   * Whether what was written before on that connection is kept as durably as asked for; the error if it is not. Only once
   * the writes were answered: a script that the server had forgotten goes there a second time.
   */
  async #whenKept(durability: NonNullable<RedisSettings['durability']>): Promise<MessagingError | undefined> {
    const { replicas, appendOnly, timeout } = durability
    const { waiting } = this.#settings
    try {
      const [local = 0, remote = 0] = appendOnly
        ? asArray(await waiting.call('WAITAOF', 1, replicas, timeout)).map(asNumber)
        : [1, asNumber(await waiting.call('WAIT', replicas, timeout))]
      if (local >= 1 && remote >= replicas) return undefined
      const file = local >= 1 ? '' : ', and it is not in the append-only file of the master'
      const what = `The message did not become as durable as requested within ${timeout} ms: ${remote} of ${replicas} replicas have it${file}`
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
