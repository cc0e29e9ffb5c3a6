/** Wall-clock and CPU time of this process since a moment. */
export class Stopwatch {
  readonly #startedAt = performance.now()
  readonly #cpu = process.cpuUsage()

  read(): { readonly seconds: number; readonly cpuMicroseconds: number } {
    const { user, system } = process.cpuUsage(this.#cpu)
    return { seconds: (performance.now() - this.#startedAt) / 1000, cpuMicroseconds: user + system }
  }
}
