/**
 * Something that others wait to change: room, data, a state.
 *
 * @example
 * // One side adds,
 * this.#ready.push(delivery)
 * this.#arrival.notify()
 * // the other waits for data or for the signal.
 * await this.#arrival.until(() => this.#ready.length > 0, signal)
 */
export class Change {
  readonly #waiting = new Set<() => void>()

  /** Wakes everybody who is waiting. */
  notify(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of waiting) wake()
  }

  /** Resolves at the next `notify`, or when the signal fires; it never rejects. */
  next(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const wake = () => {
        this.#waiting.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      signal?.addEventListener('abort', wake, { once: true })
    })
  }

  /** Resolves with true as soon as the condition holds, or with false when the signal fires before. */
  async until(holds: () => boolean, signal?: AbortSignal): Promise<boolean> {
    while (!holds()) {
      if (signal?.aborted) return false
      await this.next(signal)
    }
    return true
  }
}
