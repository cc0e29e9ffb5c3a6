import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { CaseContext } from '../../case/case-context.ts'

/** A program of ours in one file: hundreds of processes start, and most of the time of each would go into loading modules. */
export async function bundle(context: CaseContext, program: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-program-'))
  context.defer(() => rm(folder, { recursive: true }))
  return await bundleInto(folder, program)
}

/** The same, for many cases. */
export async function bundleInto(folder: string, program: string): Promise<string> {
  const outfile = join(folder, 'program.mjs')
  await build({
    entryPoints: [fileURLToPath(program)],
    ...{ outfile, bundle: true, platform: 'node', format: 'esm', logLevel: 'silent' },
    conditions: ['@waybill/source'],
    external: ['pg-native', '@electric-sql/pglite', 'lz4*', 'snappy*', '@mongodb-js/*'],
    // What it bundles of CommonJS asks for Node's modules.
    banner: {
      js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url)",
    },
  })
  return outfile
}

/** A process of ours that says `ready` and is killed. */
export class Program {
  readonly #process: ChildProcess
  /** Resolves when the process is gone. */
  readonly exited: Promise<unknown>
  readonly ready: Promise<void>
  #output = ''

  constructor(path: string, settings: object) {
    const child = spawn(process.execPath, [path, JSON.stringify(settings)], {
      env: { ...process.env, NODE_COMPILE_CACHE: `${path}.cache` },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#process = child
    this.exited = once(child, 'exit')
    this.ready = new Promise((resolve, reject) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        if (text.includes('ready')) resolve()
      })
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-4000)
      })
      child.on('exit', (code) => reject(new Error(`the program ended with ${code}: ${this.#output}`)))
    })
    this.ready.catch(() => {})
  }

  suspend(): void {
    this.#process.kill('SIGSTOP')
  }

  resume(): void {
    this.#process.kill('SIGCONT')
  }

  /** SIGTERM; resolves with the exit code, or null when it was ended by the signal. */
  async end(): Promise<number | null> {
    this.#process.kill('SIGTERM')
    await this.exited
    return this.#process.exitCode
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) this.#process.kill('SIGKILL')
    await this.exited
  }
}
