import { spawn } from 'node:child_process'
import { existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { answers, DEFAULT_ENDPOINT } from './engine-endpoint.ts'
import { identifyProcess, isProcessAlive, pidOf } from './process-identity.ts'
import { stateDirectory } from './state-directory.ts'

const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 30_000
/** Where dockerd looks for a containerd of the system before it starts one of its own. */
const CONTAINERD_SOCKET = '/run/containerd/containerd.sock'

/** Starts dockerd in the background; it outlives this process. Resolves once it answers. */
export async function startDaemon(): Promise<void> {
  const logPath = join(stateDirectory(), 'dockerd.log')
  const pidFile = join(stateDirectory(), 'docker.pid')
  rmSync(pidFile, { force: true })
  // dockerd takes the file for a running containerd and waits for it until it gives up.
  if (existsSync(CONTAINERD_SOCKET) && !(await accepts(CONTAINERD_SOCKET))) rmSync(CONTAINERD_SOCKET)
  const log = openSync(logPath, 'w')
  const daemon = spawn('dockerd', ['--host', DEFAULT_ENDPOINT, '--pidfile', pidFile], {
    detached: true,
    stdio: ['ignore', log, log],
  })
  let failed: string | undefined
  daemon.on('error', (error) => {
    failed = error.message
  })
  daemon.on('exit', (code, signal) => {
    failed = `ended with ${code ?? signal}`
  })
  daemon.unref()
  const deadline = Date.now() + START_TIMEOUT_MS
  while (!(await answers(DEFAULT_ENDPOINT))) {
    if (failed === undefined && Date.now() > deadline) failed = `no answer after ${START_TIMEOUT_MS} ms`
    if (failed !== undefined) {
      daemon.kill()
      const lastLines = readFileSync(logPath, 'utf8').trim().split('\n').slice(-15).join('\n')
      throw new Error(`dockerd did not start: ${failed}. Last lines of ${logPath}:\n${lastLines}`)
    }
    await sleep(100)
  }
  if (daemon.pid !== undefined) writeFileSync(identityPath(), identifyProcess(daemon.pid) ?? '')
}

/** The dockerd that {@link startDaemon} started, in this process or an earlier one, while it runs. */
export function startedDaemon(): string | undefined {
  const path = identityPath()
  const identity = existsSync(path) ? readFileSync(path, 'utf8') : ''
  return identity !== '' && isProcessAlive(identity) ? identity : undefined
}

export async function stopDaemon(identity: string): Promise<void> {
  const pid = pidOf(identity)
  if (pid !== undefined && isProcessAlive(identity)) process.kill(pid, 'SIGTERM')
  const deadline = Date.now() + STOP_TIMEOUT_MS
  while (isProcessAlive(identity)) {
    if (Date.now() > deadline)
      throw new Error(`dockerd (pid ${pid}) did not end within ${STOP_TIMEOUT_MS} ms`)
    await sleep(100)
  }
  rmSync(identityPath(), { force: true })
}

function identityPath(): string {
  return join(stateDirectory(), 'dockerd.identity')
}

function accepts(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath, () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
