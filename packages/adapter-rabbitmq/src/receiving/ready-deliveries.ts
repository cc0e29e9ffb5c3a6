import type { RabbitmqDelivery } from '../wire/delivery.ts'

/** What has arrived and core has not fetched yet. */
export class ReadyDeliveries {
  #ready: RabbitmqDelivery[] = []
  #holds = 0
  #isClosed = false
  #wake: (() => void) | undefined

  add(delivery: RabbitmqDelivery): void {
    this.#ready.push(delivery)
    this.#wake?.()
  }

  /** In their old places; tags rise in the order of each queue. */
  addAgain(deliveries: readonly RabbitmqDelivery[]): void {
    this.#ready = [...this.#ready, ...deliveries].sort((left, right) => left.tag - right.tag)
    this.#wake?.()
  }

  /** Drops those that match. */
  drop(matches: (delivery: RabbitmqDelivery) => boolean): void {
    this.#ready = this.#ready.filter((delivery) => !matches(delivery))
  }

  /** Hands nothing out until the work has ended, which never rejects. */
  async holdDuring(work: Promise<unknown>): Promise<void> {
    this.#holds += 1
    await work
    this.#holds -= 1
    this.#wake?.()
  }

  /** At most so many; waits for the first until the signal fires or all is over. */
  async take(max: number, signal: AbortSignal): Promise<RabbitmqDelivery[]> {
    if (!this.#isReady) await this.#arrival(signal)
    if (!this.#isReady) return []
    const taken = this.#ready.length <= max ? this.#ready : this.#ready.slice(0, max)
    this.#ready = this.#ready.length <= max ? [] : this.#ready.slice(max)
    return taken
  }

  /** Drops everything and ends all waiting. */
  close(): void {
    this.#isClosed = true
    this.#ready = []
    this.#wake?.()
  }

  get #isReady(): boolean {
    return this.#ready.length > 0 && this.#holds === 0
  }

  #arrival(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted || this.#isClosed) return resolve()
      const done = () => {
        signal.removeEventListener('abort', done)
        this.#wake = undefined
        resolve()
      }
      this.#wake = done
      signal.addEventListener('abort', done, { once: true })
    })
  }
}
