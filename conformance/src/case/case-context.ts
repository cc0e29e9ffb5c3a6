import { monitorEventLoopDelay } from 'node:perf_hooks'
import {
  type Bus,
  type ConnectOptions,
  defineTopic,
  type Message,
  type MessageDefinition,
  type ReceiveOptions,
  type Topic,
  type TopicOptions,
} from '@waybill/core'
import type { Capabilities } from '@waybill/core/driver'
import { numbered } from '../fixtures/numbered.ts'
import type { BrokerControl, Harness, ProxiedConnection, RawMessage } from '../harness.ts'
import type { Ability } from './abilities.ts'
import { CaseSkipped } from './case-skipped.ts'
import { ChildProcess, type ChildProgram } from './child-process.ts'
import { Pull } from './pull.ts'
import { Pulse } from './pulse.ts'
import { Recorder } from './recorder.ts'
import { Stage, type StageOptions } from './stage.ts'
import { describeTally, tally } from './tally.ts'
import { Waits } from './waits.ts'

/** How long a case waits for something that should happen, at a `timeScale` of 1. */
const defaultDeadlineMs = 15_000
/** How long nothing must happen before a case believes that nothing will, at a `timeScale` of 1. */
const defaultQuietMs = 250
/** How late something may be on a quiet machine, beyond what the driver states. */
const schedulingSlackMs = 750
/** How often {@link CaseContext.slackMs} looks at the event loop. */
const lagResolutionMs = 20
/** `Date.now`, `performance.now` and timers round to milliseconds, each its own way. */
export const clockToleranceMs = 3

export interface ExactlyOptions {
  /** How many deliveries more than expected are allowed, in all. Default: none. */
  readonly duplicateBudget?: number
  /** The longest time without any delivery. */
  readonly withinMs?: number
  readonly quietMs?: number
}

/** What a case works with. Whatever it opens is closed when the case ends. */
export class CaseContext {
  readonly harness: Harness
  readonly capabilities: Capabilities
  readonly #uniquePart: string
  readonly #deadlineScale: number
  readonly #cleanups: (() => Promise<unknown> | unknown)[] = []
  readonly #waits = new Waits()
  readonly #lag = monitorEventLoopDelay({ resolution: lagResolutionMs })
  #pulse: Pulse | undefined
  #names = 0

  constructor(options: {
    readonly harness: Harness
    readonly capabilities: Capabilities
    readonly uniquePart: string
    readonly deadlineScale: number
  }) {
    this.harness = options.harness
    this.capabilities = options.capabilities
    this.#uniquePart = options.uniquePart
    this.#deadlineScale = options.deadlineScale
    this.#lag.enable()
  }

  /** What the case is waiting for at the moment, for the message of its timeout. */
  get waitingFor(): readonly string[] {
    return this.#waits.pending
  }

  /** A duration the case chooses (a delay, a backoff, a lease), in milliseconds on this broker. */
  pace(ms: number): number {
    return Math.round(ms * this.harness.timeScale)
  }

  /** A number of messages, less on brokers whose harness says so, at least 1. */
  load(count: number): number {
    return Math.max(1, Math.round(count * (this.harness.loadScale ?? 1)))
  }

  /**
   * How late something may be for reasons that are not the driver's: what this process had to wait for the processor
   * since the case began, or a plain message for the broker, several times over, because there are several steps.
   */
  get slackMs(): number {
    const lagMs = Math.max(0, this.#lag.max / 1e6 - lagResolutionMs)
    return schedulingSlackMs + 3 * Math.max(lagMs, this.#pulse?.slowestMs ?? 0)
  }

  /** For cases that measure time: from now on `slackMs` knows how long a message takes that waits for nothing. */
  async feelPulse(): Promise<void> {
    const groups = [this.unique('group')]
    const topic = this.topic({ groups })
    const bus = await this.bus({ topics: [topic] })
    const pulse = await Pulse.start(bus, numbered(topic), groups[0] ?? '')
    this.defer(() => pulse.stop())
    this.#pulse = pulse
  }

  /** How late a delayed message may come at most. */
  get latenessMs(): number {
    return this.capabilities.delayGranularityMs + this.slackMs
  }

  /** How long a send may take, unless the case says otherwise: as long as its arrival, on a machine that is busy. */
  get sendTimeoutMs(): number {
    return Math.max(30_000, this.pace(defaultDeadlineMs))
  }

  unique(label: string): string {
    this.#names += 1
    return `${label}-${this.#uniquePart}-${this.#names}`
  }

  topic(options: TopicOptions = {}): Topic {
    return defineTopic(this.unique('topic'), options)
  }

  recorder(): Recorder {
    return new Recorder()
  }

  /** It may take as long to connect as anything else that should happen, unless the case says otherwise. */
  async bus(options: Partial<ConnectOptions> = {}): Promise<Bus> {
    const bus = await this.harness.connect({ timeout: this.#deadlineMs, console: false, ...options })
    this.defer(() => this.within('the bus closes', bus.close({ timeout: this.pace(2000) })))
    return bus
  }

  /** A bus, a topic with one group, a message type and a producer. */
  async stage(options: StageOptions = {}): Promise<Stage> {
    return Stage.open(this, options)
  }

  /** Behind the SDK's back. */
  async publishRaw(topic: Topic, message: RawMessage & { readonly type: string }): Promise<void> {
    await this.#needed('publishRaw', this.harness.inspect?.publishRaw?.(topic, message))
  }

  /** Behind the SDK's back; may consume. */
  async rawMessages(topic: Topic, group: string): Promise<readonly RawMessage[]> {
    return this.#needed('rawMessages', this.harness.inspect?.rawMessages?.(topic, group))
  }

  async unsettled(topic: Topic, group: string): Promise<number> {
    return this.#needed('unsettled', this.harness.inspect?.unsettled?.(topic, group))
  }

  async breakSubscription(topic: Topic, group: string): Promise<void> {
    await this.#needed('breakSubscription', this.harness.inspect?.breakSubscription?.(topic, group))
  }

  /** Until the case ends, or what this resolves with is called. */
  async failDeadLetterWrites(topic: Topic, group: string): Promise<() => Promise<void>> {
    const heal = await this.#needed(
      'failDeadLetterWrites',
      this.harness.inspect?.failDeadLetterWrites?.(topic, group),
    )
    this.defer(heal)
    return heal
  }

  async connectionCount(): Promise<number> {
    return this.#needed('connectionCount', this.harness.inspect?.connectionCount?.())
  }

  get broker(): BrokerControl {
    return this.#needed('restart', this.harness.broker)
  }

  async proxied(): Promise<ProxiedConnection> {
    const connection = await this.#needed('proxy', this.harness.openProxy?.())
    this.defer(() => connection.close())
    return connection
  }

  /** A consumer that settles by hand. */
  pull<Data>(bus: Bus, definition: MessageDefinition<unknown, Data>, options: ReceiveOptions): Pull<Data> {
    return new Pull(this, bus, definition, options)
  }

  child(program: ChildProgram, settings: object): ChildProcess {
    const child = new ChildProcess(program, { connection: this.harness.connection, ...settings })
    this.defer(() => child.kill())
    return child
  }

  /** Runs when the case ends, last registered first. */
  defer(cleanup: () => Promise<unknown> | unknown): void {
    this.#cleanups.push(cleanup)
  }

  /** Ends the case as skipped. */
  skip(reason: string): never {
    throw new CaseSkipped(reason)
  }

  /**
   * Resolves as soon as the predicate holds; rejects when it does not in time. What it throws counts as false. Whenever
   * `progress` changes the time begins anew.
   */
  eventually(
    description: string,
    predicate: () => boolean | Promise<boolean>,
    withinMs = this.#deadlineMs,
    progress: () => unknown = () => undefined,
  ): Promise<void> {
    return this.#waits.eventually(description, predicate, withinMs, progress)
  }

  /** The promise's result; rejects when it takes longer. */
  within<Result>(
    description: string,
    promise: Promise<Result>,
    withinMs = this.#deadlineMs,
  ): Promise<Result> {
    return this.#waits.within(description, promise, withinMs)
  }

  /** What a handler does that takes a while. */
  async work(ms: number): Promise<void> {
    await new Promise((resolve) => {
      setTimeout(resolve, this.pace(ms))
    })
  }

  /** Waits long enough to believe that nothing more will come. Only beside a control that did come. */
  quiet(windowMs = this.pace(defaultQuietMs)): Promise<void> {
    return this.#waits.quiet(windowMs)
  }

  /**
   * Waits until each message has been delivered as often as it stands in `expected`, then for a quiet window, and rejects
   * if there is one too few, or more too many than `duplicateBudget`.
   */
  async exactly(
    recorder: Recorder,
    expected: readonly Pick<Message, 'id'>[],
    options: ExactlyOptions = {},
  ): Promise<void> {
    const { duplicateBudget = 0, withinMs = this.#deadlineMs, quietMs } = options
    const ids = expected.map(({ id }) => id)
    const difference = () => tally(ids, recorder.ids)
    const problem = () => describeTally(difference(), duplicateBudget)
    const isDecided = () => {
      const { missing, unexpected, duplicates } = difference()
      return missing.length === 0 || unexpected.length > 0 || duplicates.length > duplicateBudget
    }
    try {
      await this.eventually(
        `${ids.length} deliveries`,
        () => recorder.deliveries.length >= ids.length && isDecided(),
        withinMs,
        () => recorder.deliveries.length,
      )
    } catch (error) {
      throw new Error(`Of ${ids.length} deliveries: ${problem()}`, { cause: error })
    }
    if (problem() === undefined) await this.quiet(quietMs)
    const found = problem()
    if (found !== undefined) throw new Error(`Of ${ids.length} deliveries: ${found}`)
  }

  /** Ends what the case still waits for, and runs what was deferred; rejects with the first failure after all have run. */
  async close(): Promise<void> {
    this.#waits.end()
    const failures: unknown[] = []
    for (let cleanup = this.#cleanups.pop(); cleanup !== undefined; cleanup = this.#cleanups.pop()) {
      try {
        await cleanup()
      } catch (error) {
        failures.push(error)
      }
    }
    this.#lag.disable()
    if (failures.length > 0) throw failures[0]
  }

  get #deadlineMs(): number {
    return this.pace(defaultDeadlineMs) * this.#deadlineScale
  }

  #needed<Part>(ability: Ability, part: Part | undefined): Part {
    if (part === undefined) throw new Error(`The case needs the ability "${ability}" and does not say so`)
    return part
  }
}
