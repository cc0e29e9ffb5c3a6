import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { announce } from './announce.ts'
import { canInstallPackages, installPackages, isProgramThere } from './debian-packages.ts'
import { startDaemon, startedDaemon, stopDaemon } from './engine-daemon.ts'
import { DEFAULT_ENDPOINT, findEngineEndpoint, forbiddenSocket } from './engine-endpoint.ts'
import { withFileLock } from './file-lock.ts'
import { isProcessAlive, ownIdentity } from './process-identity.ts'
import { stateDirectory } from './state-directory.ts'

let ensured: Promise<void> | undefined

/**
 * Makes sure that a container engine answers, and points `DOCKER_HOST` at it for this process and its
 * children. Where none answers and we are root on Debian or Ubuntu, installs and starts the distribution's,
 * saying so first; elsewhere fails with what to install.
 */
export function ensureEngine(): Promise<void> {
  ensured ??= ensure().catch((error: unknown) => {
    ensured = undefined
    throw error
  })
  return ensured
}

/**
 * Stops the engine if it was us who started it, in this process or an earlier one, and no other process of
 * ours uses it. One that was found running is never stopped. Tells whether it was stopped.
 */
export async function stopEngine(): Promise<boolean> {
  return withFileLock('engine', async () => {
    unregister()
    ensured = undefined
    const daemon = startedDaemon()
    if (daemon === undefined) return false
    const others = otherUsers()
    if (others.length > 0) {
      announce(`the container engine stays up: processes ${others.join(', ')} use it`)
      return false
    }
    announce('stopping the container engine that was started for the brokers')
    await stopDaemon(daemon)
    return true
  })
}

async function ensure(): Promise<void> {
  process.env.DOCKER_HOST = await withFileLock('engine', async () => {
    register()
    const found = await findEngineEndpoint()
    if (found !== undefined) return found
    await installAndStart()
    return DEFAULT_ENDPOINT
  })
  if (!(await isProgramThere('docker'))) {
    throw new Error(
      'A container engine answers, but the "docker" command is missing: install the docker command line.',
    )
  }
}

async function installAndStart(): Promise<void> {
  if (!canInstallPackages()) {
    const socket = forbiddenSocket()
    const why =
      socket === undefined ? '' : `This user may not use ${socket}: join the group that owns it. Otherwise: `
    throw new Error(
      `${why}No container engine answers, and the brokers run in containers. Install Docker (or start it), ` +
        'or point DOCKER_HOST at an engine, or run as root on Debian or Ubuntu, where it is installed for you. ' +
        'To use brokers that already run, set WAYBILL_RABBITMQ_URL, WAYBILL_KAFKA_URL, WAYBILL_REDIS_URL, WAYBILL_SQS_URL.',
    )
  }
  // iptables is only recommended by docker.io, but without it dockerd cannot set up the bridge network.
  const wanted = [
    ...((await isProgramThere('dockerd')) ? [] : ['docker.io']),
    ...((await isProgramThere('iptables')) ? [] : ['iptables']),
  ]
  if (wanted.length > 0) await installPackages(wanted, 'no container engine answers')
  // Newer releases carry the command line in a package of its own.
  if (!(await isProgramThere('docker')))
    await installPackages(['docker-cli'], 'the docker command is missing')
  announce('no container engine answers: starting dockerd in the background')
  await startDaemon()
}

function usersDirectory(): string {
  const directory = join(stateDirectory(), 'engine-users')
  mkdirSync(directory, { recursive: true })
  return directory
}

function register(): void {
  writeFileSync(join(usersDirectory(), ownIdentity()), '')
  process.once('exit', unregister)
}

function unregister(): void {
  rmSync(join(usersDirectory(), ownIdentity()), { force: true })
}

function otherUsers(): readonly string[] {
  const own = ownIdentity()
  return readdirSync(usersDirectory()).filter((identity) => {
    if (identity === own) return false
    if (isProcessAlive(identity)) return true
    rmSync(join(usersDirectory(), identity), { force: true })
    return false
  })
}
