import { hostname } from 'node:os'
import { getContainerRuntimeClient } from 'testcontainers'
import { docker } from './docker.ts'

const LOOPBACK = '127.0.0.1'

/**
 * The address under which published ports are reached. testcontainers answers "localhost", or the bridge's
 * gateway when we run in a container ourselves. The first may mean ::1 to one client and 127.0.0.1 to the
 * next; the second is a detour when the engine runs in that same container.
 */
export async function engineHost(): Promise<string> {
  const { host } = (await getContainerRuntimeClient()).info.containerRuntime
  if (host === 'localhost') return LOOPBACK
  const engineMachine = (await docker(['info', '--format', '{{.Name}}'])).trim()
  return engineMachine === hostname() ? LOOPBACK : host
}
