import { type Bus, exponential, type MessageDefinition, type Producer } from '@waybill/core'
import { sleep, toMessagingError } from '@waybill/core/driver'
import { Change } from '@waybill/core/driver-kit'
import type { JobBook } from '../book/job-book.ts'
import { jobMessage } from '../definition.ts'
import type { JobRow } from '../store.ts'

export interface DispatcherSettings {
  /** How many messages of a queue are at the broker at most. */
  readonly window: number
  /** When a message that no worker has taken is sent again. */
  readonly resendMs: number
  readonly pollMs: number
}

export interface DispatcherHost {
  readonly book: JobBook
  readonly settings: DispatcherSettings
  busOf(queue: string): Bus
  /** What the queue's jobs are, if they are messages to be sent as they are. */
  messageOf(queue: string): MessageDefinition | undefined
  /** What is done at each turn besides sending. Resolves with whether there is more at once. */
  sweep(): Promise<boolean>
  failed(what: string, error: unknown): void
}

const batchSize = 500
const retryMs = 5000

const crowdedMs = 100

// Of changes that come in crowds one look is enough.
const restMs = 10
const backoff = exponential({ initial: 200, max: 10_000 })

/**
 * Sends messages for the jobs that are due, and takes care of those whose workers have died. Any number run, in any processes. A
 * job is in the store before its message is sent, so a crash in between only delays the message.
 */
export class Dispatcher {
  readonly #host: DispatcherHost
  /** With how many jobs of each may run. */
  readonly #queues = new Map<string, number | undefined>()
  readonly #producers = new Map<Bus, Producer>()
  readonly #woken = new Change()
  readonly #over = new AbortController()
  #isDue = true
  #lookedForLostAt = Number.NEGATIVE_INFINITY
  #running: Promise<void> | undefined

  constructor(host: DispatcherHost) {
    this.#host = host
  }

  /** From now on it sends what is due in the queue, while no more than so many of it run. */
  serve(queue: string, mostRunning?: number): void {
    const limits = [mostRunning, this.#queues.get(queue)].filter((each) => each !== undefined)
    this.#queues.set(queue, limits.length === 0 ? undefined : Math.min(...limits))
    this.start()
  }

  start(): void {
    if (this.#over.signal.aborted) return
    this.#running ??= this.#run()
    this.wake()
  }

  wake(): void {
    this.#isDue = true
    this.#woken.notify()
  }

  async stop(): Promise<void> {
    this.#over.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock } = this.#host.book.store
    const over = this.#over.signal
    const forget = this.#host.book.store.onChange(() => this.wake())
    for (let failures = 0; !over.aborted; ) {
      this.#isDue = false
      try {
        const hasMore = await this.#turn()
        failures = 0
        if (!hasMore) await this.#pause()
        // A store that tells of everything needs no rest, and tests that stop its clock get none.
        if (!this.#host.book.store.tellsAll) await sleep(clock, restMs, over)
      } catch (error) {
        failures += 1
        if (!over.aborted) this.#host.failed('sending jobs', error)
        await sleep(clock, backoff(failures), over)
      }
    }
    forget()
  }

  async #turn(): Promise<boolean> {
    let hasMore = await this.#host.sweep()
    const { book, settings } = this.#host
    const now = book.store.clock.monotonic()
    const looksForLost = book.store.tellsAll || now - this.#lookedForLostAt >= settings.pollMs
    if (looksForLost) this.#lookedForLostAt = now
    for (const [queue, mostRunning] of this.#queues) {
      if (this.#over.signal.aborted) return false
      if (await this.#send(queue, mostRunning, looksForLost)) hasMore = true
    }
    return hasMore
  }

  /** Until somebody wakes it, the next job is due, or it looks without a cause. */
  async #pause(): Promise<void> {
    const { book, settings } = this.#host
    const { clock } = book.store
    if (this.#isDue) return
    const moments = [await book.store.nextSendAt([...this.#queues.keys()]), await book.store.nextSweepAt()]
    const next = Math.min(...moments.map((moment) => moment ?? Number.POSITIVE_INFINITY))
    const dueMs = next - clock.now()
    // What is due already came in between, or has no room at the broker.
    const waitMs = Math.min(settings.pollMs, dueMs > 0 ? dueMs : crowdedMs)
    if (this.#isDue) return
    const waiting = new AbortController()
    const signal = AbortSignal.any([waiting.signal, this.#over.signal])
    await Promise.race([sleep(clock, waitMs, signal), this.#woken.next(signal)])
    waiting.abort()
  }

  /** Resolves with whether there may be more to send at once. */
  async #send(queue: string, mostRunning: number | undefined, looksForLost: boolean): Promise<boolean> {
    const { book, settings } = this.#host
    const window = Math.min(settings.window, mostRunning ?? settings.window)
    const left = window - (await book.store.sentCount(queue))
    // Filled up once half of it is free, not job by job.
    const room = left * 2 >= window ? left : 0
    if (room === 0 && !looksForLost) return false
    const message = this.#host.messageOf(queue)
    const isJob = message === undefined
    const limits = { room, mostRunning }
    const jobs = await book.claim(queue, limits, looksForLost, batchSize, settings.resendMs, isJob)
    if (jobs.length === 0) return false
    const producer = this.#producerOf(queue)
    const sent = await Promise.allSettled(jobs.map((job) => send(producer, job, message)))
    const failed = jobs.filter((_, index) => sent[index]?.status === 'rejected')
    const failure = sent.find((each) => each.status === 'rejected')
    if (failure !== undefined) {
      this.#host.failed('sending jobs', toMessagingError(failure.reason, `Sending jobs of "${queue}"`))
      await book.unclaim(failed, retryMs, mostRunning !== undefined)
    }
    if (message !== undefined) await book.delivered(jobs.filter((job) => !failed.includes(job)))
    return jobs.length >= batchSize
  }

  #producerOf(queue: string): Producer {
    const bus = this.#host.busOf(queue)
    const producer = this.#producers.get(bus) ?? bus.producer({ source: 'waybill-jobs' })
    this.#producers.set(bus, producer)
    return producer
  }
}

async function send(
  producer: Producer,
  { id, queue, name, run, data }: JobRow,
  message: MessageDefinition | undefined,
): Promise<void> {
  if (message !== undefined) {
    // The same id each time, so that one that is sent again after a crash is known to idempotent consumers.
    await producer.send(message, data === undefined ? undefined : JSON.parse(data), { id })
    return
  }
  await producer.send(messageOf(queue, name), { job: id, run }, { id: `${id}:${run}` })
}

const messages = new Map<string, ReturnType<typeof jobMessage>>()

function messageOf(queue: string, name: string) {
  const place = `${queue}/${name}`
  const message = messages.get(place) ?? jobMessage(queue, name)
  messages.set(place, message)
  return message
}
