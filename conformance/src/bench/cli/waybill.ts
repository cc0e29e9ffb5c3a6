import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CaseContext } from '../../case/case-context.ts'
import type { ChildConnection } from '../../harness.ts'

const program = fileURLToPath(import.meta.resolve('@waybill/cli')).replace(/index\.(ts|js)$/, 'waybill.$1')

// Dozens of processes load the same modules: compiled once, they take half the time.
const compileCache = join(tmpdir(), 'waybill-conformance-compile-cache')

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  /** The standard output as JSON, one value a line. */
  readonly rows: () => readonly Record<string, unknown>[]
}

/** The command line as real processes, at the broker of a case. */
export class Waybill {
  readonly #context: CaseContext
  readonly #folder: string
  readonly #options: string

  private constructor(context: CaseContext, folder: string, options: string) {
    this.#context = context
    this.#folder = folder
    this.#options = options
  }

  static async at(context: CaseContext, connection: Partial<ChildConnection> = {}): Promise<Waybill> {
    const folder = await mkdtemp(join(tmpdir(), 'waybill-cli-'))
    context.defer(() => rm(folder, { recursive: true }))
    const options = join(folder, 'options.json')
    const { url, native } = { ...context.harness.connection, ...connection }
    await writeFile(options, JSON.stringify({ url, native, timeout: '90s' }))
    return new Waybill(context, folder, options)
  }

  /** Runs a command to its end. */
  async run(args: readonly string[], input = ''): Promise<Finished> {
    const child = this.start(args)
    child.input(input)
    return child.finished
  }

  /** Starts a command. It is killed when the case ends. */
  start(args: readonly string[]): Running {
    const child = spawn(
      process.execPath,
      [...process.execArgv, program, '--options', this.#options, ...args],
      {
        cwd: this.#folder,
        env: { NODE_COMPILE_CACHE: compileCache, PATH: process.env.PATH },
      },
    )
    const running = new Running(child)
    this.#context.defer(() => running.kill())
    return running
  }

  path(name: string): string {
    return join(this.#folder, name)
  }

  /** A module that defines a topic with a message, as the case's `numbered` does. */
  async definitions(topic: { readonly name: string; readonly options: object }): Promise<string> {
    const name = this.path('definitions.mjs')
    const core = JSON.stringify(import.meta.resolve('@waybill/core'))
    const zod = JSON.stringify(import.meta.resolve('zod'))
    await writeFile(
      name,
      `import { defineMessage, defineTopic } from ${core}
import { z } from ${zod}
export const topic = defineTopic(${JSON.stringify(topic.name)}, ${JSON.stringify(topic.options)})
export const messages = [defineMessage(topic, 'number.sent', { schema: z.object({ n: z.number() }) })]
`,
    )
    return name
  }
}

/** A command that runs. */
export class Running {
  readonly finished: Promise<Finished>
  readonly #child: ChildProcessWithoutNullStreams
  #stdout = ''
  #stderr = ''

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    // A command may end without reading its input.
    child.stdin.on('error', () => undefined)
    this.finished = once(child, 'close').then(([code]) => ({
      code: typeof code === 'number' ? code : null,
      stdout: this.#stdout,
      stderr: this.#stderr,
      rows: () => this.#stdout.split('\n').flatMap(parseRow),
    }))
  }

  get stderr(): string {
    return this.#stderr
  }

  get stdout(): string {
    return this.#stdout
  }

  /** Resolves once it has said so on the standard error; rejects if it ends before. */
  says(text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.#stderr.includes(text)) resolve()
      }
      this.#child.stderr.on('data', look)
      look()
      void this.finished.then(({ code, stderr }) =>
        reject(new Error(`ended with ${code}: ${stderr.slice(-2000)}`)),
      )
    })
  }

  input(text: string): void {
    this.#child.stdin.end(text)
  }

  /** As `head` does when it has seen enough. */
  stopReading(): void {
    this.#child.stdout.destroy()
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL')
    await this.finished
  }
}

function parseRow(line: string): readonly Record<string, unknown>[] {
  if (!line.startsWith('{')) return []
  const row: unknown = JSON.parse(line)
  return typeof row === 'object' && row !== null ? [{ ...row }] : []
}
