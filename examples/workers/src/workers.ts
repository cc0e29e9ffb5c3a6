import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { type Bus, type HandlerContext, type Message, PermanentError } from '@waybill/core'
import { type HandedOver, isHandedBack, serialization } from './hand-over.ts'
import { randomNumbers } from './random.ts'
import type { Service } from './service.ts'
import { startAll } from './worker.ts'

export interface WorkersOptions {
  /** What a child process runs; it calls `runWorker`. */
  readonly program: URL
  /** Where messages travel: to the workers themselves, or on `memory:` through this process. */
  readonly url: string
  /** What its environment needs besides. */
  readonly environment: Readonly<Record<string, string>>
  /** How many processes are killed, one after the other. The last one lives. */
  readonly kills: number
  readonly seed: number
}

interface Call {
  resolve(): void
  reject(error: Error): void
}

// A message takes about a dozen instructions; a worker should die at all of them, and get something done.
const mostInstructions = 60
const longestLifeMs = 400

/** A worker at a time, which is killed and replaced as often as was asked for. */
export class Workers implements AsyncDisposable {
  readonly #options: WorkersOptions
  readonly #random: () => number
  readonly #calls = new Map<number, Call>()
  #count = 0
  #killed = 0
  #worker: ChildProcess | undefined
  #ready: Promise<ChildProcess>
  #isOver = false
  #killer: NodeJS.Timeout | undefined

  constructor(options: WorkersOptions) {
    this.#options = options
    this.#random = randomNumbers(options.seed)
    this.#ready = this.#start()
    // Whoever calls is told; without calls there is nobody to tell.
    this.#ready.catch(() => {})
  }

  /** How many were killed so far. */
  get killed(): number {
    return this.#killed
  }

  /** Starts consumers on the bus of this process whose handlers run in the workers. */
  async consume(bus: Bus, services: readonly Service[]): Promise<void> {
    await startAll(
      bus,
      services.map(({ group, handlers }) => ({
        group,
        handlers: handlers.map(({ definition }) => ({
          definition,
          handle: (message: Message, context: HandlerContext) => this.#handOver(group, message, context),
        })),
      })),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    clearTimeout(this.#killer)
    const worker = this.#worker
    if (worker === undefined || worker.exitCode !== null || worker.signalCode !== null) return
    worker.kill('SIGKILL')
    await once(worker, 'exit')
  }

  async #handOver(group: string, message: Message, context: HandlerContext): Promise<void> {
    const { topic, attempt, deliveries, mode, idempotencyKey } = context
    const worker = await this.#ready
    this.#count += 1
    const delivery: HandedOver = {
      call: this.#count,
      group,
      message,
      context: { topic, group, attempt, deliveries, mode, idempotencyKey },
    }
    await new Promise<void>((resolve, reject) => {
      this.#calls.set(delivery.call, { resolve, reject })
      if (!worker.connected) this.#end(delivery.call, new Error('the worker was killed'))
      else
        worker.send(delivery, (error) => {
          if (error !== null) this.#end(delivery.call, error)
        })
    })
  }

  #end(call: number, error: Error | undefined): void {
    const waiting = this.#calls.get(call)
    this.#calls.delete(call)
    if (error === undefined) waiting?.resolve()
    else waiting?.reject(error)
  }

  #start(): Promise<ChildProcess> {
    const { program, url, environment, kills } = this.#options
    const dies = this.#killed < kills
    // Half of them die at an instruction of their own, half at a moment that somebody else chooses.
    const diesByItself = this.#random() < 0.5
    const choice = this.#random()
    const dieAt = dies && diesByItself ? 1 + Math.floor(choice * mostInstructions) : 0
    const worker = fork(program, {
      serialization,
      execArgv: ['--conditions=@waybill/source', '--disable-warning=ExperimentalWarning'],
      env: { ...process.env, ...environment, URL: url, DIE_AT: String(dieAt) },
    })
    this.#worker = worker
    return new Promise((resolve, reject) => {
      worker.on('message', (message) => {
        if (message === 'ready') {
          if (dies)
            this.#killer = setTimeout(
              () => worker.kill('SIGKILL'),
              20 + choice * longestLifeMs * (dieAt > 0 ? 10 : 1),
            )
          resolve(worker)
        }
        if (isHandedBack(message)) {
          const { call, error } = message
          const ErrorKind = error?.isPermanent === true ? PermanentError : Error
          this.#end(call, error && new ErrorKind(error.message))
        }
      })
      worker.on('error', reject)
      worker.on('exit', (code, signal) => {
        clearTimeout(this.#killer)
        if (this.#isOver) return
        if (signal !== 'SIGKILL') {
          const failed = new Error(`A worker ended by itself, with ${signal ?? `code ${code}`}`)
          this.#ready = Promise.reject(failed)
          this.#ready.catch(() => {})
          reject(failed)
        } else {
          this.#killed += 1
          this.#ready = this.#start()
          this.#ready.catch(() => {})
          // Who waits for this one waits for the next.
          resolve(this.#ready)
        }
        for (const call of [...this.#calls.keys()]) this.#end(call, new Error('the worker was killed'))
      })
    })
  }
}
