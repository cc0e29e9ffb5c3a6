import { spawn } from 'node:child_process'

export interface RunOptions {
  readonly cwd?: string
  readonly environment?: Readonly<Record<string, string>>
  /** Killed after this long. Default: no limit. */
  readonly timeoutMs?: number
  /** Killed when it has printed nothing at all after this long. Default: no limit. */
  readonly silenceMs?: number
}

export class CommandError extends Error {
  readonly output: string
  constructor(message: string, output: string) {
    super(message)
    this.name = 'CommandError'
    this.output = output
  }
}

/** Runs a program to its end and gives what it printed to stdout. Fails with the last lines it printed. */
export function runCommand(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.environment },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    })
    let stdout = ''
    let everything = ''
    let killedBecause: string | undefined
    const kill = (reason: string) => {
      killedBecause = reason
      child.kill('SIGKILL')
    }
    const deadline = after(options.timeoutMs, () => kill(`not finished after ${options.timeoutMs} ms`))
    const silence = after(options.silenceMs, () => kill(`no answer within ${options.silenceMs} ms`))
    const hear = (text: string) => {
      clearTimeout(silence)
      everything += text
    }
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      hear(text)
    })
    child.stderr.setEncoding('utf8').on('data', hear)
    const settle = (problem: string | undefined) => {
      clearTimeout(deadline)
      clearTimeout(silence)
      if (problem === undefined) resolve(stdout)
      else reject(new CommandError(describe(program, args, problem, everything), everything))
    }
    child.on('error', (error) => settle(error.message))
    child.on('close', (code, signal) =>
      settle(killedBecause ?? (code === 0 ? undefined : `ended with ${code ?? signal}`)),
    )
  })
}

function after(ms: number | undefined, action: () => void): NodeJS.Timeout | undefined {
  return ms === undefined ? undefined : setTimeout(action, ms)
}

function describe(program: string, args: readonly string[], problem: string, output: string): string {
  const tail = output.trim().split('\n').slice(-25).join('\n')
  return `${[program, ...args].join(' ')}: ${problem}${tail === '' ? '' : `\n${tail}`}`
}
