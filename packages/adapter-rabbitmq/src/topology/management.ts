import { MessagingError, type TopicSpec } from '@waybill/core/driver'
import { z } from 'zod'
import type { RabbitmqSettings } from '../options.ts'

/** What the HTTP API gives for each queue and exchange (RabbitMQ documentation, "Management HTTP API"). */
const namesSchema = z.array(z.object({ name: z.string() }))

/** What Waybill's names are made of; see `wire/names.ts`. */
const part = '[A-Za-z0-9][A-Za-z0-9._-]*'
const topicMark = new RegExp(`^(${part}):kept$`)
const partitionsMark = new RegExp(`^(${part}):partitions:(\\d+)$`)
const wishesMark = new RegExp(`^(${part}):(${part}):wishes$`)

/** The broker's HTTP API, where AMQP cannot list anything. */
export class Management {
  readonly #settings: RabbitmqSettings
  readonly #url: URL

  constructor(settings: RabbitmqSettings, url: string) {
    this.#settings = settings
    this.#url = new URL(url)
  }

  async listTopics(): Promise<readonly TopicSpec[]> {
    const names = await this.#exchanges()
    const partitions = new Map(
      names.flatMap((name) => {
        const [, topic = '', count] = partitionsMark.exec(name) ?? []
        return count === undefined ? [] : [[topic, Number(count)] as const]
      }),
    )
    return names.flatMap((name) => {
      const topic = topicMark.exec(name)?.[1]
      if (topic === undefined) return []
      const count = partitions.get(topic)
      return [{ name: topic, ordered: count !== undefined, partitions: count ?? 1, native: {} }]
    })
  }

  async listGroups(topic: string): Promise<readonly string[]> {
    return (await this.#exchanges()).flatMap((name) => {
      const [, theirs, group] = wishesMark.exec(name) ?? []
      return theirs === topic && group !== undefined ? [group] : []
    })
  }

  async #exchanges(): Promise<readonly string[]> {
    const { virtualHost, requestTimeout } = this.#settings
    const { username, password, origin, pathname } = this.#url
    const base = `${origin}${pathname.replace(/\/$/, '')}`
    const user = decodeURIComponent(username) || (this.#settings.username ?? 'guest')
    const secret = decodeURIComponent(password) || (this.#settings.password ?? 'guest')
    const what = `Listing exchanges by the management API at ${origin} failed`
    try {
      const response = await fetch(
        `${base}/api/exchanges/${encodeURIComponent(virtualHost)}?disable_stats=true`,
        {
          headers: { authorization: `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}` },
          signal: AbortSignal.timeout(requestTimeout),
        },
      )
      if (!response.ok) throw refused(what, response)
      return namesSchema.parse(await response.json()).map(({ name }) => name)
    } catch (error) {
      if (MessagingError.is(error)) throw error
      throw new MessagingError('connection-failed', `${what}: check managementUrl`, {
        retryable: true,
        cause: error,
      })
    }
  }
}

function refused(what: string, { status, statusText }: Response): MessagingError {
  return status === 401 || status === 403
    ? new MessagingError(
        'access-denied',
        `${what}: ${status} ${statusText}; the user needs the tag "management"`,
      )
    : new MessagingError('failed', `${what}: ${status} ${statusText}`, { retryable: status >= 500 })
}
