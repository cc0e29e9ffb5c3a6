import type { Bus, MessageDefinition, Producer } from '@waybill/core'
import { toMessagingError } from '@waybill/core/driver'
import type { JobBook } from '../book/job-book.ts'
import { jobMessage } from '../definition.ts'
import type { JobRow } from '../store.ts'
import { batchSize, type QueueTurn } from './queue-turn.ts'

export interface JobSenderHost {
  readonly book: JobBook
  /** How many messages of a queue are at the broker at most. */
  readonly window: number
  /** When a message that no worker has taken is sent again. */
  readonly resendMs: number
  /** What the queue's jobs are, if they are messages to be sent as they are. */
  messageOf(queue: string): MessageDefinition | undefined
  failed(what: string, error: unknown): void
}

const retryMs = 5000

/** Sends messages for the jobs that are due. A job is in the store before its message is sent, so a crash in between only delays it. */
export class JobSender {
  readonly #host: JobSenderHost
  readonly #producers = new Map<Bus, Producer>()

  constructor(host: JobSenderHost) {
    this.#host = host
  }

  /** Resolves with whether there may be more to send at once. */
  async turn(bus: Bus, { queue, mostRunning, looksForLost }: QueueTurn): Promise<boolean> {
    const { book, window: most, resendMs } = this.#host
    const window = Math.min(most, mostRunning ?? most)
    const left = window - (await book.store.sentCount(queue))
    // Filled up once half of it is free, not job by job.
    const room = left * 2 >= window ? Math.min(left, batchSize) : 0
    if (room === 0 && !looksForLost) return false
    const message = this.#host.messageOf(queue)
    const wanted = { queue, room, mostRunning, lost: looksForLost ? batchSize : 0 }
    const jobs = await book.claim(wanted, resendMs, message === undefined)
    if (jobs.length === 0) return false
    const producer = this.#producerOf(bus)
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

  #producerOf(bus: Bus): Producer {
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
