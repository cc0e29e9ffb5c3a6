import type { Driver, Outcome } from '../driver.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { type ErrorCode, type Fate, MessagingError, toMessagingError } from '../lib/errors.ts'
import { outcomeAt } from '../lib/outcome-at.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'
import { Roster } from '../lib/roster.ts'
import type { Provisioner } from '../topology/provisioner.ts'
import { AcceptedSends, type SendLimits } from './accepted-sends.ts'
import type { ByteBudget, Share } from './byte-budget.ts'
import { Deadlines } from './deadlines.ts'
import { PendingSend } from './pending-send.ts'
import type { Prepared } from './prepare-message.ts'
import { TopicLane } from './topic-lane.ts'

// The broker cannot be reached or is throttling us: other messages would fare no better.
const brokerAway: ReadonlySet<ErrorCode> = new Set(['disconnected', 'connection-failed', 'throttled'])

// How many idle lanes are kept: topics with generated names must not add up.
const keptLanes = 1000

interface Answer {
  /** Those of the batch that were still wanted when the topic was ready. */
  readonly sends: readonly PendingSend[]
  /** What was known of each before. */
  readonly fates: readonly Fate[]
  readonly outcomes: readonly Outcome[]
  /** They all failed for one reason that is not about any of them. */
  readonly failedAsOne: boolean
}

/**
 * Brings messages to the driver: coalesced by topic without a timer, since what comes while a batch is under way forms
 * the next one; again after retryable failures until the deadline. A message that is refused holds up no other, except
 * later ones of its key on an ordered topic.
 */
export class Publisher {
  readonly #driver: Driver
  readonly #provisioner: Provisioner
  readonly #clock: Clock
  readonly #lanes = new Map<string, TopicLane>()
  readonly #pending = new Roster<PendingSend>()
  readonly #deadlines: Deadlines
  readonly #accepted: AcceptedSends
  readonly #closing = new AbortController()

  constructor(driver: Driver, provisioner: Provisioner, clock: Clock) {
    this.#driver = driver
    this.#provisioner = provisioner
    this.#clock = clock
    this.#deadlines = new Deadlines(clock)
    this.#accepted = new AcceptedSends(this.#deadlines)
  }

  /**
   * Resolves when the broker has the message. Rejects with an error whose `fate` tells what is known of it. Waits for
   * room in the budget first.
   */
  publish({ topic, outbound, bytes, deadline, dueAt, signal }: Prepared, budget: ByteBudget): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#provisioner.learn(topic)
      let share: Share | undefined
      const send = new PendingSend(topic, outbound, dueAt, (error) => {
        this.#pending.remove(place)
        this.#deadlines.remove(watched)
        signal?.removeEventListener('abort', onAbort)
        if (share !== undefined) budget.release(share)
        this.#accepted.leave()
        if (error === undefined) resolve()
        else reject(error)
      })
      const onAbort = () => send.giveUp('aborted')
      this.#accepted.enter()
      const place = this.#pending.add(send)
      const watched = this.#deadlines.add(deadline, () => send.giveUp('timeout'))
      if (this.#closing.signal.aborted) return send.giveUp('closed')
      if (signal?.aborted) return onAbort()
      signal?.addEventListener('abort', onAbort, { once: true })
      share = budget.acquire(bytes, () => {
        send.hasRoom = true
        const lane = this.#laneOf(send)
        lane.add(send)
        this.#schedule(lane)
      })
    })
  }

  /**
   * Counts what a send does before the broker's part, an asynchronous schema or middleware, as part of it: `close`
   * waits for it, and its limits end it. `run` calls `begun` when it hands the message over.
   */
  accept<Result>(
    what: string,
    limits: SendLimits,
    run: (begun: () => void) => Promise<Result>,
  ): Promise<Result> {
    return this.#accepted.run(what, limits, run)
  }

  /** Waits for every send that was accepted, until the time is over; then rejects the rest with `closed`. */
  async close(timeoutMs: number): Promise<void> {
    const waited = new AbortController()
    await Promise.race([this.#accepted.idle(), sleep(this.#clock, timeoutMs, waited.signal)])
    waited.abort()
    this.#closing.abort()
    for (const send of this.#pending.all()) send.giveUp('closed')
    await this.#accepted.close()
    this.#deadlines.close()
  }

  #laneOf({ topic: { name, ordered } }: PendingSend): TopicLane {
    let lane = this.#lanes.get(name)
    if (lane === undefined) {
      lane = new TopicLane(ordered)
      this.#lanes.set(name, lane)
    }
    return lane
  }

  // A microtask later, so that what is sent within one tick is one batch from the first. Not by queueMicrotask, which
  // the fake timers of a test runner may hold back.
  #schedule(lane: TopicLane): void {
    if (lane.isScheduled) return
    lane.isScheduled = true
    void Promise.resolve().then(() => {
      lane.isScheduled = false
      this.#pump(lane)
    })
  }

  #pump(lane: TopicLane): void {
    const { publishBatchSize, publishParallelism } = this.#driver.capabilities
    // Of two batches of an ordered topic the first may fail, and be sent again behind the second.
    const parallelism = lane.ordered ? 1 : publishParallelism
    while (lane.hasWaiting && !lane.isResting && lane.running < parallelism) {
      const batch = lane.take(publishBatchSize)
      if (batch.length > 0) void this.#run(lane, batch)
    }
  }

  async #run(lane: TopicLane, batch: readonly PendingSend[]): Promise<void> {
    lane.running += 1
    const { sends, fates, outcomes, failedAsOne } = await this.#attempt(batch)
    lane.running -= 1
    const again: PendingSend[] = []
    let isAway = true
    for (const [index, send] of sends.entries()) {
      const outcome = outcomeAt(outcomes, index)
      if (outcome.ok) {
        isAway = false
        send.succeed()
        continue
      }
      const { error } = outcome
      if (!brokerAway.has(error.code)) isAway = false
      if (error.fate === 'not-sent') send.fate = fates[index] ?? 'unknown'
      if (error.code === 'topology-missing') this.#provisioner.forget(send.topic)
      if (!error.retryable && !this.#provisioner.canMend(error)) send.fail(error)
      else if (!send.ended) {
        send.refused(error)
        again.push(send)
      }
    }
    const isDown = again.length > 0 && (failedAsOne || isAway)
    if (!isDown) lane.failures = 0
    if (isDown) this.#rest(lane, again)
    else if (lane.ordered) this.#holdKeys(lane, again)
    else if (again.length > 0) void this.#aside(lane, again)
    this.#pump(lane)
    if (lane.isIdle && this.#lanes.size > keptLanes) this.#lanes.delete(batch[0]?.topic.name ?? '')
  }

  async #attempt(batch: readonly PendingSend[]): Promise<Answer> {
    let sends = batch
    let fates: readonly Fate[] = batch.map(({ fate }) => fate)
    const all = (error: MessagingError): Answer => ({
      sends,
      fates,
      outcomes: sends.map(() => ({ ok: false, error })),
      failedAsOne: true,
    })
    try {
      const topic = batch[0]?.topic
      // Another definition of the topic, with more groups, may have been used in the meantime.
      while (topic !== undefined && !this.#provisioner.isReady(topic)) {
        await this.#provisioner.topic(topic)
        // Who has given up meanwhile was told that nothing was sent.
        sends = sends.filter(({ ended }) => !ended)
        fates = sends.map(({ fate }) => fate)
        if (sends.length === 0) return { sends, fates, outcomes: [], failedAsOne: false }
      }
    } catch (thrown) {
      const error = toMessagingError(thrown, 'Provisioning failed')
      const { code, message, retryable } = error
      return all(new MessagingError(code, message, { cause: error, retryable, fate: 'not-sent' }))
    }
    const now = this.#clock.monotonic()
    for (const send of sends) send.fate = 'unknown'
    try {
      const outcomes = await this.#driver.publish(sends.map((send) => send.outbound(now)))
      return { sends, fates, outcomes, failedAsOne: false }
    } catch (thrown) {
      return all(toMessagingError(thrown, 'The driver failed to publish'))
    }
  }

  // The broker itself cannot be reached: the whole lane waits, so that not every message asks it.
  #rest(lane: TopicLane, again: readonly PendingSend[]): void {
    lane.giveBack(again)
    if (lane.isResting) return
    lane.isResting = true
    lane.failures += 1
    void this.#pause(lane.failures).then(() => {
      lane.isResting = false
      this.#pump(lane)
    })
  }

  #holdKeys(lane: TopicLane, again: readonly PendingSend[]): void {
    for (const [key, sends] of Map.groupBy(again, ({ message }) => message.key ?? '')) {
      lane.hold(key, sends)
      void this.#pause(sends[0]?.refusals ?? 1).then(() => {
        lane.release(key)
        this.#pump(lane)
      })
    }
  }

  async #aside(lane: TopicLane, again: readonly PendingSend[]): Promise<void> {
    const group = new Roster<PendingSend>()
    for (const send of again) send.waitIn(group)
    lane.aside += 1
    await this.#pause(Math.min(...again.map(({ refusals }) => refusals)))
    lane.aside -= 1
    for (const send of group.all()) lane.add(send)
    this.#pump(lane)
  }

  #pause(failures: number): Promise<void> {
    return sleep(this.#clock, reconnectBackoff(failures), this.#closing.signal)
  }
}
