import { setTimeout as sleep } from 'node:timers/promises'
import { docker } from './docker.ts'
import { runCommand } from './run-command.ts'

const POLL_MS = 100
const LOG_LINES = 40

export interface ReadinessOptions {
  readonly container: string
  readonly probe: () => Promise<void>
  readonly timeoutMs: number
}

/** Polls until the probe passes. Fails, with the last log lines, when the container ends or time runs out. */
export async function waitUntilReady({ container, probe, timeoutMs }: ReadinessOptions): Promise<void> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const problem = await probe().then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    )
    if (problem === undefined) return
    const state = await stateOf(container)
    if (state !== 'running') throw new Error(await describe(container, `the container is ${state}`))
    if (Date.now() > deadline)
      throw new Error(await describe(container, `not ready after ${timeoutMs} ms (${problem})`))
    await sleep(POLL_MS)
  }
}

/** What a container printed, both streams, in order. */
export async function readLogs(container: string, lines?: number): Promise<string> {
  const tail = lines === undefined ? [] : ['--tail', String(lines)]
  // `docker logs` keeps stdout and stderr apart; the shell joins them in the order they were written.

  return runCommand('sh', ['-c', 'docker logs "$@" 2>&1', 'docker-logs', ...tail, container])
}

async function stateOf(container: string): Promise<string> {
  return (await docker(['inspect', '--format', '{{.State.Status}}', container]).catch(() => 'gone')).trim()
}

async function describe(container: string, problem: string): Promise<string> {
  const logs = await readLogs(container, LOG_LINES).catch(() => '(no log)')
  return `${container}: ${problem}. Its last log lines:\n${logs}`
}
