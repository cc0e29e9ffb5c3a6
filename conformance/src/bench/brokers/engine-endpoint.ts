import { accessSync, constants, existsSync } from 'node:fs'
import { request } from 'node:http'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from './run-command.ts'

/** The socket on which the distribution's engine listens (dockerd(8), `--host`). */
export const DEFAULT_ENDPOINT = 'unix:///var/run/docker.sock'

const ANSWER_WITHIN_MS = 5_000

/**
 * The endpoint of an engine that really answers: a socket file alone proves nothing, one may be left over
 * from an engine that died. Looked for where the user says (`DOCKER_HOST`, the current docker context), then
 * where engines usually listen.
 */
export async function findEngineEndpoint(): Promise<string | undefined> {
  for (const endpoint of await candidates()) {
    if (await answers(endpoint)) return endpoint
  }
  return undefined
}

/** Whether an engine answers there. */
export async function answers(endpoint: string): Promise<boolean> {
  if (endpoint.startsWith('unix://')) return ping(endpoint.slice('unix://'.length))
  // tcp with TLS and ssh need what only the docker command knows.
  return runCommand('docker', ['--host', endpoint, 'version'], { timeoutMs: ANSWER_WITHIN_MS }).then(
    () => true,
    () => false,
  )
}

/** The socket of an engine that may well run, but is not for this user. */
export function forbiddenSocket(): string | undefined {
  const path = DEFAULT_ENDPOINT.slice('unix://'.length)
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return undefined
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EACCES' ? path : undefined
  }
}

async function candidates(): Promise<readonly string[]> {
  const { DOCKER_HOST, XDG_RUNTIME_DIR } = process.env
  const sockets = [
    '/var/run/docker.sock',
    ...(XDG_RUNTIME_DIR === undefined
      ? []
      : [join(XDG_RUNTIME_DIR, 'docker.sock'), join(XDG_RUNTIME_DIR, 'podman/podman.sock')]),
    join(homedir(), '.docker/run/docker.sock'),
    join(homedir(), '.docker/desktop/docker.sock'),
    '/run/podman/podman.sock',
  ]
  const context = await currentContext()
  return [
    ...new Set([
      ...(DOCKER_HOST === undefined || DOCKER_HOST === '' ? [] : [DOCKER_HOST]),
      ...(context === undefined ? [] : [context]),
      ...sockets.filter((path) => existsSync(path)).map((path) => `unix://${path}`),
    ]),
  ]
}

async function currentContext(): Promise<string | undefined> {
  const format = '{{.Endpoints.docker.Host}}'
  const host = await runCommand('docker', ['context', 'inspect', '--format', format], {
    timeoutMs: ANSWER_WITHIN_MS,
  }).catch(() => '')
  return host.trim() === '' ? undefined : host.trim()
}

function ping(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    // Docker Engine API, "SystemPing".
    const call = request({ socketPath, path: '/_ping', timeout: ANSWER_WITHIN_MS }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    call.on('timeout', () => call.destroy())
    call.on('error', () => resolve(false))
    call.end()
  })
}
