import type { Emit } from '../events/events.ts'
import type { Clock } from '../lib/clock.ts'
import { MessagingError } from '../lib/errors.ts'
import type { Topic } from '../messages/topic.ts'
import type { Attempts } from './attempts.ts'

export interface StuckWatchSettings {
  readonly clock: Clock
  readonly emit: Emit
  readonly topic: Topic
  readonly group: { readonly name: string }
  readonly stuckAfterMs: number
}

/** Notices when all of a consumer's handlers hang: the consumer looks well then, and handles nothing. */
export class StuckWatch {
  readonly #attempts: Attempts
  readonly #settings: StuckWatchSettings
  #wasStuck = false
  #cancel: (() => void) | undefined

  constructor(attempts: Attempts, settings: StuckWatchSettings) {
    this.#attempts = attempts
    this.#settings = settings
  }

  /** For `health()`; undefined while any handler moves. */
  get error(): MessagingError | undefined {
    const { stuckAfterMs } = this.#settings
    if (!this.#attempts.isStuck(stuckAfterMs)) return undefined
    const what = `All ${this.#attempts.running} handlers have been running for longer than ${stuckAfterMs} ms`
    const hint = 'so nothing else is handled; `timeout` on the consumer ends attempts that hang'
    return new MessagingError('timeout', `${what}, ${hint}`)
  }

  start(): void {
    const { clock, stuckAfterMs } = this.#settings
    this.#cancel = clock.after(
      Math.max(50, stuckAfterMs / 4),
      () => {
        this.#look()
        this.start()
      },
      { background: true },
    )
  }

  close(): void {
    this.#cancel?.()
  }

  #look(): void {
    const { emit, topic, group, stuckAfterMs } = this.#settings
    const isStuck = this.#attempts.isStuck(stuckAfterMs)
    const ages = this.#attempts.ages()
    if (isStuck && !this.#wasStuck && ages !== undefined) {
      const names = { topic: topic.name, group: group.name }
      emit('stuck', { ...names, running: this.#attempts.running, oldestRunningMs: ages.oldestMs })
    }
    this.#wasStuck = isStuck
  }
}
