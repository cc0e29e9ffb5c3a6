import { AsyncLocalStorage } from 'node:async_hooks'
import type { Bus, MessagingError } from '@waybill/core'
import { Errand, type ErrandHost } from './errand.ts'
import { HandOut, type HandOutHost } from './hand-out.ts'
import { JobSender, type JobSenderHost } from './job-sender.ts'
import type { QueueTurn } from './queue-turn.ts'

export interface DispatcherHost extends JobSenderHost, HandOutHost {
  readonly pollMs: number
  /** Undefined: its jobs are taken from the store. */
  busOf(queue: string): Bus | undefined
  /** What is done besides. Resolves with whether there is more at once. */
  sweep(): Promise<boolean>
}

/** Queues that are served together. */
interface Line {
  /** With how many jobs of each may run. */
  readonly queues: Map<string, number | undefined>
  readonly errand: Errand
}

/**
 * Gets the jobs that are due to workers, by messages or from the store, and takes care of those whose workers have died. Any number
 * run, in any processes.
 */
export class Dispatcher {
  readonly #host: DispatcherHost
  readonly #sender: JobSender
  readonly #handOut: HandOut
  /** Queues without a bus, and what is done besides. */
  readonly #home: Line
  /** Those of each bus: one that does not answer holds up no others. */
  readonly #lines = new Map<Bus, Line>()
  #isOver = false
  /** Whoever adds the first job has a context of his own, of a request perhaps, in which no handler is to run. */
  readonly #inOwnContext = AsyncLocalStorage.snapshot()

  constructor(host: DispatcherHost) {
    this.#host = host
    this.#sender = new JobSender(host)
    this.#handOut = new HandOut(host)
    this.#home = this.#homeLine()
  }

  /** Why workers get nothing from the store. */
  get handOutError(): MessagingError | undefined {
    return this.#home.errand.error
  }

  /** From now on workers get what is due in the queue, while no more than so many of it run. */
  serve(queue: string, mostRunning?: number): void {
    if (this.#isOver) return
    const { queues, errand } = this.#lineOf(queue)
    const limits = [mostRunning, queues.get(queue)].filter((each) => each !== undefined)
    queues.set(queue, limits.length === 0 ? undefined : Math.min(...limits))
    this.#inOwnContext(() => {
      errand.start()
      this.#home.errand.start()
    })
  }

  wake(): void {
    for (const errand of this.#errands()) errand.wake()
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#errands().map((errand) => errand.stop()))
  }

  #errands(): readonly Errand[] {
    return [this.#home, ...this.#lines.values()].map(({ errand }) => errand)
  }

  #lineOf(queue: string): Line {
    const bus = this.#host.busOf(queue)
    if (bus === undefined) return this.#home
    const line = this.#lines.get(bus) ?? this.#line(bus)
    this.#lines.set(bus, line)
    return line
  }

  #homeLine(): Line {
    const { book, sweep, takersOf } = this.#host
    const queues: Line['queues'] = new Map()
    const looks = this.#looks(queues)
    const errand = this.#errand({
      what: 'looking after jobs',
      turn: async () => {
        const swept = sweep()
        // What goes wrong there keeps no jobs from workers.
        await Promise.allSettled([swept])
        const hasMore = await anyOf(looks(await this.#due(queues)), (look) => this.#handOut.turn(look))
        return (await swept) || hasMore
      },
      nextAt: async () => {
        const served = [...queues.keys()].filter((queue) => takersOf(queue).length > 0)
        const moments = (await book.store.nextSendAt(served)).values()
        return Math.min(...moments, (await book.store.nextSweepAt()) ?? Number.POSITIVE_INFINITY)
      },
    })
    return { queues, errand }
  }

  #line(bus: Bus): Line {
    const queues: Line['queues'] = new Map()
    const looks = this.#looks(queues)
    const errand = this.#errand({
      what: 'sending jobs',
      turn: () => anyOf(looks(queues.keys()), (look) => this.#sender.turn(bus, look)),
      nextAt: async () => Math.min(...(await this.#host.book.store.nextSendAt([...queues.keys()])).values()),
    })
    return { queues, errand }
  }

  #errand(of: Pick<ErrandHost, 'what' | 'turn' | 'nextAt'>): Errand {
    const { book, pollMs } = this.#host
    const failed = (what: string, error: unknown) => this.#host.failed(what, error)
    return new Errand({ ...of, store: book.store, pollMs, failed })
  }

  /** Where workers have room, and something is due: a look at each of many queues would hold up those that are busy. */
  async #due(queues: Line['queues']): Promise<readonly string[]> {
    const { book, takersOf } = this.#host
    const open = [...queues.keys()].filter((queue) => takersOf(queue).some((taker) => taker.room() > 0))
    if (open.length < 2) return open
    const next = await book.store.nextSendAt(open)
    const now = book.store.clock.now()
    return open.filter((queue) => (next.get(queue) ?? Number.POSITIVE_INFINITY) <= now)
  }

  /** What is looked at in a turn, until it is over. */
  #looks(queues: Line['queues']): (names: Iterable<string>) => Iterable<QueueTurn> {
    const { book, pollMs } = this.#host
    let lookedForLostAt = Number.NEGATIVE_INFINITY
    const isOver = () => this.#isOver
    return function* (names) {
      const now = book.store.clock.monotonic()
      const looksForLost = book.store.tellsAll || now - lookedForLostAt >= pollMs
      if (looksForLost) lookedForLostAt = now
      for (const queue of names) {
        if (isOver()) return
        yield { queue, mostRunning: queues.get(queue), looksForLost }
      }
    }
  }
}

/** Whether any of them resolves with true. All are done, one after the other. */
async function anyOf<Each>(all: Iterable<Each>, ask: (each: Each) => Promise<boolean>): Promise<boolean> {
  let has = false
  for (const each of all) if (await ask(each)) has = true
  return has
}
