import { constants, hostname } from 'node:os'
import { docker, removeContainersNow } from './docker.ts'
import { isProcessAlive, ownIdentity } from './process-identity.ts'

const OWNER = 'waybill.owner'
const OWNER_HOST = 'waybill.owner-host'
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const containersHere = new Set<string>()
let listening = false

/** Labels that say which process a container belongs to. */
export function ownerLabels(): Record<string, string> {
  return { [OWNER]: ownIdentity(), [OWNER_HOST]: hostname() }
}

/** Removes containers (and their volumes) of processes on this machine that no longer run. */
export async function removeLeftovers(): Promise<void> {
  const format = `{{.ID}} {{.Label "${OWNER}"}}`
  const filter = `label=${OWNER_HOST}=${hostname()}`
  const listing = await docker(['ps', '--all', '--no-trunc', '--filter', filter, '--format', format])
  const dead = listing.split('\n').flatMap((line) => {
    const [id, owner] = line.trim().split(' ')
    return id !== undefined && owner !== undefined && !isProcessAlive(owner) ? [id] : []
  })
  // Two processes may clear up at once; what the other one removed first is no failure.
  if (dead.length > 0) await docker(['rm', '-f', '-v', ...dead]).catch(() => undefined)
}

/** Has a container removed if this process ends, also by a signal, before {@link forgetContainer}. */
export function removeAtExit(name: string): void {
  containersHere.add(name)
  if (listening) return
  listening = true
  process.on('exit', removeAll)
  for (const signal of SIGNALS) process.on(signal, onSignal)
}

export function forgetContainer(name: string): void {
  containersHere.delete(name)
}

function removeAll(): void {
  removeContainersNow([...containersHere])
  containersHere.clear()
}

/**
 * Ends the process, which runs the exit listener. Sending ourselves the signal again would not do: libraries
 * that listen too (testcontainers' lock files) wait in turn for everybody else to be gone.
 */
function onSignal(signal: NodeJS.Signals): void {
  process.exit(128 + constants.signals[signal])
}
