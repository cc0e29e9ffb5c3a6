import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Answer, Job, Question, Report } from './jobs.ts'

interface Waiting {
  resolve(report: Report): void
  reject(error: Error): void
}

/** One process of the shop: a till, the services, or the bridge. */
export class Staff {
  readonly #process: ChildProcess
  readonly #exited: Promise<unknown>
  readonly ready: Promise<void>
  readonly #waiting = new Map<number, Waiting>()
  #calls = 0

  constructor(job: Job, run: string) {
    this.#process = fork(fileURLToPath(new URL('./worker.ts', import.meta.url)), [JSON.stringify(job)], {
      execArgv: ['--conditions=@waybill/source', '--disable-warning=ExperimentalWarning'],
      env: { ...process.env, CHECKOUT_RUN: run },
    })
    this.#exited = once(this.#process, 'exit')
    this.#process.on('message', (message: Answer | 'ready') => this.#take(message))
    void this.#exited.then(() => {
      for (const { reject } of this.#waiting.values()) reject(new Error('A process of the shop ended'))
    })
    this.ready = this.#untilReady()
    this.ready.catch(() => {})
  }

  /** Asks the process something, and resolves with its answer. */
  async ask<Kind extends Question['kind']>(
    question: Extract<Question, { kind: Kind }>,
  ): Promise<Extract<Report, { kind: Kind }>> {
    this.#calls += 1
    const call = this.#calls
    const { promise, resolve, reject } = Promise.withResolvers<Report>()
    this.#waiting.set(call, { resolve, reject })
    this.#process.send({ call, question })
    const report = await promise
    if (!isOf(report, question.kind)) throw new Error(`${question.kind} was answered by ${report.kind}`)
    return report
  }

  /** It finishes what it has begun, reports and ends. */
  async retire(): Promise<Extract<Report, { kind: 'stop' }>> {
    const report = await this.ask({ kind: 'stop' })
    this.#process.disconnect()
    await this.#exited
    return report
  }

  /** SIGKILL, whatever it is doing. */
  async kill(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) this.#process.kill('SIGKILL')
    await this.#exited
  }

  #take(answer: Answer | 'ready'): void {
    if (answer === 'ready') return
    const waiting = this.#waiting.get(answer.call)
    this.#waiting.delete(answer.call)
    if ('problem' in answer) waiting?.reject(new Error(answer.problem))
    else waiting?.resolve(answer.report)
  }

  async #untilReady(): Promise<void> {
    const [first] = await Promise.race([
      once(this.#process, 'message'),
      this.#exited.then((): unknown[] => ['gone']),
    ])
    if (first !== 'ready') throw new Error('A process of the shop ended before it was ready')
  }
}

function isOf<Kind extends Report['kind']>(
  report: Report,
  kind: Kind,
): report is Extract<Report, { kind: Kind }> {
  return report.kind === kind
}
