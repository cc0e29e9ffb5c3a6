import { type Clock, sleep } from '@waybill/core/driver'
import type { Link } from '../connection/link.ts'
import type { RabbitmqSettings } from '../options.ts'
import {
  describeLevel,
  dueKey,
  type Ladder,
  type Level,
  ladderHeight,
  levelName,
  planDelay,
} from '../wire/delays.ts'
import {
  declare,
  declareSink,
  exchangeExists,
  inParallel,
  type QueueArguments,
  queueExists,
} from './declarations.ts'

/** How often to look for delay queues that others made: each lookup that finds none is an error in the broker's log. */
const lookAgainMs = 60_000

/** What is known to exist of a ladder. */
interface LadderState {
  /** Its levels from the bottom; ladders have no gaps, so that every shorter delay finds its way too. */
  height: number
  /** When somebody else's levels were looked for. */
  lookedAt: number
  /** What is being made; one thing at a time. */
  work: Promise<void>
}

/** Makes the exchanges and queues of delay ladders, as far up as delays need them. */
export class Ladders {
  /** How many levels a ladder may have. */
  readonly levels: number
  readonly #link: Link
  readonly #clock: Clock
  readonly #isOnDemand: boolean
  readonly #states = new Map<string, LadderState>()
  readonly #quorumArguments: QueueArguments

  constructor(link: Link, settings: RabbitmqSettings, clock: Clock, quorumArguments: QueueArguments) {
    this.#quorumArguments = quorumArguments
    this.#link = link
    this.#clock = clock
    this.#isOnDemand = settings.delayQueues === 'on-demand'
    this.levels = ladderHeight(settings.longestDelay)
  }

  /** Whether a delay can go into the ladder at once. */
  takes(ladder: Ladder, delayMs: number): boolean {
    return !this.#isOnDemand || this.#stateOf(ladder).height >= planDelay(delayMs, this.levels).height
  }

  /**
   * Makes the levels for a delay exist, unless all of them were to be made beforehand. One more is made without waiting for
   * it: backoffs mostly double, and the next retry must not be late because its queue has to be declared.
   */
  async raise(ladder: Ladder, delayMs: number): Promise<void> {
    if (!this.#isOnDemand) return
    const { height } = planDelay(delayMs, this.levels)
    await this.#make(ladder, height)
    // The caller that needs the queue gets the error.
    void this.#make(ladder, Math.min(height + 1, this.levels)).catch(() => undefined)
  }

  /**
   * The same, but no longer than the delay itself: on a busy broker making queues can take longer, and what is due needs
   * none. Resolves with whether the delay is over.
   */
  async raiseUnlessOver(ladder: Ladder, delayMs: number): Promise<boolean> {
    const raised = new AbortController()
    try {
      return await Promise.race([
        this.raise(ladder, delayMs).then(() => false),
        sleep(this.#clock, delayMs, raised.signal).then(() => true),
      ])
    } finally {
      raised.abort()
    }
  }

  /** For those who make all of them when they provision. */
  async makeAll(ladder: Ladder): Promise<void> {
    if (!this.#isOnDemand) await this.#make(ladder, this.levels)
  }

  /** What is missing of a ladder that was to be made beforehand. */
  async missing(ladder: Ladder): Promise<readonly string[]> {
    const missing: string[] = []
    for (let level = 0; !this.#isOnDemand && level < this.levels; level += 1) {
      const name = levelName(ladder, level)
      if (!(await exchangeExists(this.#link, name))) missing.push(`exchange ${name}`)
      if (!(await queueExists(this.#link, name))) missing.push(`queue ${name}`)
    }
    return missing
  }

  /** The queues that exist. */
  async queues(ladder: Ladder): Promise<readonly string[]> {
    const state = this.#stateOf(ladder)
    const now = this.#clock.monotonic()
    if (now - state.lookedAt >= lookAgainMs) {
      state.lookedAt = now
      const isNextThere = () => queueExists(this.#link, levelName(ladder, state.height))
      while (state.height < this.levels && (await isNextThere())) state.height += 1
    }
    return Array.from({ length: state.height }, (_, level) => levelName(ladder, level))
  }

  /** After a loss, somebody may have deleted what this process has seen. */
  forget(): void {
    this.#states.clear()
  }

  async #make(ladder: Ladder, height: number): Promise<void> {
    const state = this.#stateOf(ladder)
    if (state.height >= height) return
    const work = state.work.then(() => this.#add(ladder, state, height))
    state.work = work.catch(() => undefined)
    await work
  }

  async #add(ladder: Ladder, state: LadderState, height: number): Promise<void> {
    const levels = Array.from({ length: Math.max(0, height - state.height) }, (_, index) =>
      describeLevel(ladder, state.height + index),
    )
    if (levels.length === 0) return
    // The exit first: whatever comes there must find a way on.
    await this.#declareExit(ladder)
    await inParallel([
      () => this.#declareExchanges(ladder, levels),
      ...levels.map((level) => () => this.#declareQueue(ladder, level)),
    ])
    await declare(this.#link, `bindings of the delay queues of ${ladder.prefix}`, async (channel) => {
      for (const { name, waitPattern } of levels) await channel.bindQueue(name, name, waitPattern)
    })
    state.height = Math.max(state.height, height)
  }

  async #declareExit({ prefix, exit }: Ladder): Promise<void> {
    if (exit.kind === 'queue') return
    await declare(this.#link, `the exit of the delay queues of ${prefix}`, async (channel) => {
      if (exit.kind === 'topic') {
        await declareSink(channel, exit.sink, this.#quorumArguments)
        if (exit.via !== exit.name) await channel.bindExchange(exit.via, exit.name, '')
        await channel.bindQueue(exit.sink, exit.via, dueKey)
      } else {
        await channel.assertExchange(exit.name, 'direct', { durable: true })
        for (const queue of exit.queues) await channel.bindQueue(queue, exit.name, queue)
      }
    })
  }

  /** Each linked to the one below, the lowest to the ladder's exit. */
  #declareExchanges({ prefix, exit }: Ladder, levels: readonly Level[]): Promise<unknown> {
    return declare(this.#link, `delay exchanges of ${prefix}`, async (channel) => {
      for (const { name, below, passPattern } of levels) {
        await channel.assertExchange(name, 'topic', { durable: true })
        if (below === undefined && exit.kind === 'queue')
          await channel.bindQueue(exit.name, name, passPattern)
        else await channel.bindExchange(below ?? exit.name, name, passPattern)
      }
    })
  }

  #declareQueue({ exit }: Ladder, { name, ttlMs, below }: Level): Promise<unknown> {
    const next =
      below === undefined && exit.kind === 'queue'
        ? { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': exit.name }
        : { 'x-dead-letter-exchange': below ?? exit.name }
    const args = {
      ...this.#quorumArguments,
      ...next,
      'x-message-ttl': ttlMs,
      'x-dead-letter-strategy': 'at-least-once',
      // At-least-once dead-lettering silently becomes at-most-once without it (RabbitMQ documentation, "Quorum Queues",
      // "Dead Lettering").
      'x-overflow': 'reject-publish',
    }
    return declare(this.#link, `delay queue ${name}`, (channel) =>
      channel.assertQueue(name, { durable: true, arguments: args }),
    )
  }

  #stateOf({ prefix }: Ladder): LadderState {
    let state = this.#states.get(prefix)
    if (state === undefined) {
      state = { height: 0, lookedAt: Number.NEGATIVE_INFINITY, work: Promise.resolve() }
      this.#states.set(prefix, state)
    }
    return state
  }
}
