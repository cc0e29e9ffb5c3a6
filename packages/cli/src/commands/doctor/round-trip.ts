import { randomUUID } from 'node:crypto'
import {
  type Bus,
  type Consumer,
  defineMessage,
  defineTopic,
  fixed,
  type HandlerContext,
  type Message,
  PermanentError,
} from '@waybill/core'
import { z } from 'zod'
import { formatDuration } from '../../output/format.ts'
import { examine, type Finding } from './finding.ts'

const groupName = 'doctor'
const delayMs = 1000

/** What a message of the doctor asks its handler to do. */
const schema = z.object({ want: z.enum(['ack', 'retry', 'dead-letter']) })
type Ask = z.output<typeof schema>

interface Step {
  readonly check: string
  readonly run: () => Promise<string>
}

/**
 * What applications do, on a topic of its own: each step needs those before it. The topic is deleted in any case; where that is
 * not possible, the last finding names it.
 */
export class RoundTrip {
  readonly #bus: Bus
  readonly #timeoutMs: number
  readonly #topic = defineTopic(`waybill-doctor-${randomUUID().slice(0, 8)}`, { groups: [groupName] })
  readonly #ask = defineMessage(this.#topic, 'waybill.doctor.asked', { schema })
  readonly #consumer: Consumer<typeof groupName>
  readonly #waiting = new Map<string, (attempt: number) => boolean>()
  /** Messages that were dead letters: when they come again they are done. */
  readonly #buried = new Set<string>()

  constructor(bus: Bus, timeoutMs: number) {
    this.#bus = bus
    this.#timeoutMs = timeoutMs
    this.#consumer = bus
      .consumer(groupName, { retry: { attempts: 3, backoff: fixed('100ms') }, concurrency: 1 })
      .on(this.#ask, (message, context) => this.#handle(message, context))
  }

  async *findings(): AsyncGenerator<Finding, undefined> {
    let broken: string | undefined
    for (const { check, run } of this.#steps()) {
      if (broken !== undefined) {
        yield { check, status: 'skipped', detail: `because of "${broken}"` }
        continue
      }
      const finding = await examine(check, () => this.#bounded(run()))
      if (finding.status === 'failed') broken = check
      yield finding
    }
    yield await this.#cleanUp()
    return undefined
  }

  #steps(): readonly Step[] {
    const letters = () => this.#bus.group(this.#topic, groupName).deadLetters
    return [
      {
        check: 'make a topic with a group',
        run: async () => {
          await this.#bus.provision([this.#topic])
          return this.#topic.name
        },
      },
      {
        check: 'subscribe',
        run: async () => {
          await this.#consumer.start({ timeout: this.#timeoutMs })
          return `group ${groupName}`
        },
      },
      {
        check: 'send and receive',
        run: async () => {
          await this.#until('ack', (attempt) => attempt === 1)
          return 'handled at the first attempt'
        },
      },
      {
        check: 'retry',
        run: async () => {
          await this.#until('retry', (attempt) => attempt === 2)
          return 'handled at the second attempt'
        },
      },
      {
        check: 'delayed send',
        run: async () => {
          if (!this.#bus.capabilities.delay) return 'this broker has none'
          const startedAt = performance.now()
          await this.#until('ack', () => true, delayMs)
          const tookMs = performance.now() - startedAt
          if (tookMs < delayMs) throw new Error(`A message delayed by ${delayMs} ms came after ${tookMs} ms`)
          return `${formatDuration(delayMs)} took ${formatDuration(tookMs)}`
        },
      },
      {
        check: 'dead letter',
        run: async () => {
          const id = await this.#send('dead-letter')
          await this.#poll(async () => (await letters().find(id)) !== undefined)
          this.#buried.add(id)
          return 'written, and found again'
        },
      },
      {
        check: 'replay',
        run: async () => {
          const [id = ''] = this.#buried
          const handled = this.#handled(id, () => true)
          await letters().replay({ messageId: id })
          await handled
          return 'sent back to its group, and handled'
        },
      },
      {
        check: 'figures',
        run: async () => {
          const { waiting, inFlight, delayed, dead } = await this.#bus.group(this.#topic, groupName).stats()
          const known = Object.entries({ waiting, inFlight, delayed, dead })
          const unknown = known.filter(([, count]) => count === undefined).map(([name]) => name)
          return unknown.length === 0 ? 'all known' : `this broker does not tell: ${unknown.join(', ')}`
        },
      },
      {
        check: 'list topics and groups',
        run: async () => {
          const { administration } = this.#bus
          const topics = await administration.listTopics()
          if (!topics.some(({ name }) => name === this.#topic.name))
            throw new Error('The new topic is not listed')
          if (!(await administration.listGroups(this.#topic)).includes(groupName)) {
            throw new Error('The new group is not listed')
          }
          return `${topics.length} topics`
        },
      },
    ]
  }

  async #cleanUp(): Promise<Finding> {
    const { name } = this.#topic
    await this.#consumer.stop({ timeout: '1s' })
    const finding = await examine('remove the topic', async () => {
      await this.#bounded(this.#bus.administration.deleteTopic(this.#topic))
      return name
    })
    if (finding.status === 'ok') return finding
    return { ...finding, status: 'warning', detail: `topic ${name} may be left: ${finding.detail}` }
  }

  #handle({ id, data }: Message<Ask>, { attempt }: HandlerContext): void {
    if (data.want === 'dead-letter' && !this.#buried.has(id))
      throw new PermanentError('a dead letter of the doctor')
    if (data.want === 'retry' && attempt === 1) throw new Error('a retry of the doctor')
    if (this.#waiting.get(id)?.(attempt) === true) this.#waiting.delete(id)
  }

  /** Sends a message, and resolves once it was handled as expected. */
  async #until(want: Ask['want'], isExpected: (attempt: number) => boolean, delay = 0): Promise<void> {
    const id = randomUUID()
    const handled = this.#handled(id, isExpected)
    await this.#send(want, id, delay)
    await handled
  }

  #handled(id: string, isExpected: (attempt: number) => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.set(id, (attempt) => {
      const is = isExpected(attempt)
      if (is) resolve()
      return is
    })
    return promise
  }

  async #send(want: Ask['want'], id: string = randomUUID(), delay = 0): Promise<string> {
    await this.#bus
      .producer({ source: 'waybill-doctor', timeout: this.#timeoutMs })
      .send(this.#ask, { want }, { id, ...(delay > 0 && { delay }) })
    return id
  }

  async #poll(isDone: () => Promise<boolean>): Promise<void> {
    const until = performance.now() + this.#timeoutMs
    while (!(await isDone()) && performance.now() < until) {
      await new Promise((resolve) => {
        setTimeout(resolve, 100)
      })
    }
  }

  async #bounded<Value>(work: Promise<Value>): Promise<Value> {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(
      () => late.reject(new Error(`It took longer than ${formatDuration(this.#timeoutMs)}`)),
      this.#timeoutMs,
    )
    try {
      return await Promise.race([work, late.promise])
    } finally {
      clearTimeout(timer)
    }
  }
}
