import { createLogUpdate } from 'log-update'
import { formatCount, formatDuration } from './format.ts'
import type { Streams } from './output.ts'

const barWidth = 24
const redrawMs = 100

/** How far a long piece of work has come, on a terminal; elsewhere nothing is shown. */
export class Progress {
  readonly #label: string
  readonly #total: number | undefined
  readonly #draw: (((text: string) => void) & { clear(): void }) | undefined
  readonly #startedAt = performance.now()
  #done = 0
  #drawnAt = 0

  /** `total` is undefined where nobody knows how much there is, as of standard input. */
  constructor(stderr: Streams['stderr'], label: string, total?: number) {
    this.#label = label
    this.#total = total
    if (stderr.isTTY === true) this.#draw = createLogUpdate(stderr)
  }

  add(count = 1): void {
    this.set(this.#done + count)
  }

  set(done: number): void {
    this.#done = done
    const now = performance.now()
    if (this.#draw === undefined || now - this.#drawnAt < redrawMs) return
    this.#drawnAt = now
    this.#draw(describeProgress(this.#label, this.#done, this.#total, now - this.#startedAt))
  }

  /** Takes it off the screen: the result says how it ended. */
  end(): void {
    this.#draw?.clear()
  }
}

/** `Replaying ████░░ 400 of 1,000 (40 %), 200/s, 3 s left` */
export function describeProgress(
  label: string,
  done: number,
  total: number | undefined,
  elapsedMs: number,
): string {
  const perSecond = elapsedMs > 0 ? (done * 1000) / elapsedMs : 0
  const speed = `${formatCount(Math.round(perSecond))}/s`
  if (total === undefined || total === 0) return `${label} ${formatCount(done)}, ${speed}`
  const share = Math.min(1, done / total)
  const filled = Math.round(share * barWidth)
  const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled)
  const left = perSecond > 0 ? `, ${formatDuration(((total - done) / perSecond) * 1000)} left` : ''
  return `${label} ${bar} ${formatCount(done)} of ${formatCount(total)} (${Math.floor(share * 100)} %), ${speed}${left}`
}
