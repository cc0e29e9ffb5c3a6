import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type ChildCommand, type ChildReport, reportSchema } from '../children/protocol.ts'
import { siblingModule } from '../children/sibling-module.ts'

/** Dozens of processes load the same modules: compiled once, they take half the time. */
const compileCache = join(tmpdir(), 'waybill-conformance-compile-cache')

export type ChildProgram = 'producer-program' | 'consumer-program' | 'cycles-program'

/** A real process that the case can kill. It reports on its standard output, one JSON document a line. */
export class ChildProcess {
  readonly reports: ChildReport[] = []
  readonly #process: ChildProcessWithoutNullStreams
  readonly #exited: Promise<number | null>
  readonly #listeners = new Set<(report: ChildReport) => void>()
  #errorOutput = ''

  constructor(program: ChildProgram, settings: object) {
    const path = fileURLToPath(siblingModule(import.meta.url, `../children/${program}`))
    this.#process = spawn(process.execPath, [...process.execArgv, path, JSON.stringify(settings)], {
      env: { NODE_COMPILE_CACHE: compileCache, ...process.env },
    })
    this.#exited = once(this.#process, 'exit').then(([code]) => (typeof code === 'number' ? code : null))
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errorOutput = (this.#errorOutput + text).slice(-4000)
    })
    // Writing to a process that was killed is what cases are about.
    this.#process.stdin.on('error', () => undefined)
    createInterface({ input: this.#process.stdout }).on('line', (line) => {
      const report = parseReport(line)
      if (report === undefined) {
        this.#errorOutput += `${line}\n`
        return
      }
      this.reports.push(report)
      for (const listener of this.#listeners) listener(report)
    })
  }

  /** What it printed that was no report. */
  get errorOutput(): string {
    return this.#errorOutput
  }

  /** Calls back for each report from now on, as it arrives. */
  onReport(listener: (report: ChildReport) => void): void {
    this.#listeners.add(listener)
  }

  of<Type extends ChildReport['type']>(type: Type): Extract<ChildReport, { type: Type }>[] {
    return this.reports.filter(
      (report): report is Extract<ChildReport, { type: Type }> => report.type === type,
    )
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null
  }

  tell(command: ChildCommand): void {
    this.#process.stdin.write(`${JSON.stringify(command)}\n`)
  }

  /** Resolves with the exit code once the process has ended by itself; null if it was killed. */
  exited(): Promise<number | null> {
    return this.#exited
  }

  /** SIGSTOP: it stands still, as a suspended container or virtual machine does, until `resume`. */
  suspend(): void {
    this.#process.kill('SIGSTOP')
  }

  /** SIGCONT. */
  resume(): void {
    this.#process.kill('SIGCONT')
  }

  /** SIGTERM, as a deploy ends a process; resolves when it has shut down, and rejects if it did not do so cleanly. */
  async terminate(): Promise<void> {
    this.#process.kill('SIGTERM')
    const code = await this.#exited
    if (code !== 0) throw new Error(`The child exited with ${code} after SIGTERM, not with 0`)
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    if (!this.running) return
    this.#process.kill('SIGKILL')
    await this.#exited
  }
}

function parseReport(line: string): ChildReport | undefined {
  try {
    return reportSchema.parse(JSON.parse(line))
  } catch {
    return undefined
  }
}
