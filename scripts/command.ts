import { spawn } from 'node:child_process'

export interface CommandResult {
  readonly exitCode: number
  readonly output: string
  readonly seconds: number
}

/**
 * Runs a command from the repository's root. `show` passes its output on as it comes; it is kept in any case. `environment` is added to
 * that of this process.
 */
export function command(
  program: string,
  args: readonly string[],
  show = false,
  environment: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  const startedAt = performance.now()
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: new URL('..', import.meta.url),
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const chunks: Buffer[] = []
    const keep = (to: NodeJS.WriteStream) => (chunk: Buffer) => {
      chunks.push(chunk)
      if (show) to.write(chunk)
    }
    const end = (exitCode: number, message = '') => {
      const output = Buffer.concat(chunks).toString() + message
      resolve({ exitCode, output, seconds: (performance.now() - startedAt) / 1000 })
    }
    child.stdout.on('data', keep(process.stdout))
    child.stderr.on('data', keep(process.stderr))
    child.on('error', (error) => end(1, error.message))
    child.on('close', (code) => end(code ?? 1))
  })
}
