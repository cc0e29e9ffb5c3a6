import { writeFile } from 'node:fs/promises'
import type { CaseContext } from '../../case/case-context.ts'
import { type Finished, type Running, Waybill } from '../cli/waybill.ts'
import type { End } from './ends.ts'

/** `waybill bridge` between two brokers, as processes. */
export class BridgeCommands {
  readonly #waybill: Waybill
  readonly #from: readonly string[]
  readonly #to: readonly string[]

  private constructor(waybill: Waybill, from: readonly string[], to: readonly string[]) {
    this.#waybill = waybill
    this.#from = from
    this.#to = to
  }

  static async between(context: CaseContext, from: End, to: End): Promise<BridgeCommands> {
    const waybill = await Waybill.at(context)
    const end = async (side: string, { url, native }: End) => {
      const file = waybill.path(`${side}.json`)
      await writeFile(file, JSON.stringify({ native, timeout: '90s' }))
      return [`--${side}`, url, `--${side}-options`, file]
    }
    return new BridgeCommands(waybill, await end('from', from), await end('to', to))
  }

  /** A bridge that runs until it is told to end. */
  start(args: readonly string[]): BridgeCommand {
    return new BridgeCommand(this.#waybill.start(['bridge', ...this.#from, ...this.#to, ...args]))
  }

  /** A bridge that ends by itself. */
  run(args: readonly string[]): Promise<Finished> {
    return this.#waybill.run(['bridge', ...this.#from, ...this.#to, ...args])
  }
}

export class BridgeCommand {
  readonly #running: Running
  /** Resolves when it has its group at the source. */
  readonly ready: Promise<void>

  constructor(running: Running) {
    this.#running = running
    this.ready = running.says('The bridge is open')
    this.ready.catch(() => {})
  }

  /** Resolves with its exit code. */
  async end(signal: 'SIGINT' | 'SIGTERM'): Promise<number | null> {
    this.#running.signal(signal)
    return (await this.#running.finished).code
  }

  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void> {
    return this.#running.kill()
  }
}
