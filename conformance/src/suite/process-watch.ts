import { type CaseResult, describeError } from './report.ts'

/** Notices what nobody else does while cases run: rejected promises without a handler, exceptions in callbacks. */
export class ProcessWatch {
  readonly #seen: unknown[] = []
  readonly #note = (error: unknown) => {
    this.#seen.push(error)
  }

  constructor() {
    process.on('unhandledRejection', this.#note)
    process.on('uncaughtException', this.#note)
  }

  /** Rejections are reported after the current turn of the event loop, so it waits for one. */
  async stop(): Promise<void> {
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
    process.off('unhandledRejection', this.#note)
    process.off('uncaughtException', this.#note)
  }

  results(): CaseResult[] {
    return this.#seen.map((error) => ({
      number: 0,
      id: 'process',
      section: 'Process',
      title: 'Nothing is rejected or thrown without anybody noticing',
      status: 'failed',
      reason: error instanceof Error ? `${describeError(error)}\n${error.stack ?? ''}` : describeError(error),
      durationMs: 0,
    }))
  }
}
