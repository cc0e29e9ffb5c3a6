import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isProcessAlive, ownIdentity } from './process-identity.ts'
import { stateDirectory } from './state-directory.ts'

const POLL_MS = 200
let sequence = 0

/**
 * Runs `action` while no other process on this machine runs one under the same name. The lock of a process
 * that died is taken over.
 */
export async function withFileLock<T>(name: string, action: () => Promise<T>): Promise<T> {
  const path = join(stateDirectory(), `${name}.lock`)
  while (!tryAcquire(path)) await sleep(POLL_MS)
  try {
    return await action()
  } finally {
    rmSync(path, { force: true })
  }
}

function tryAcquire(path: string): boolean {
  // A link appears with its content in one step, so nobody ever reads a half-written lock.
  const draft = `${path}.${process.pid}.${++sequence}`
  writeFileSync(draft, ownIdentity())
  try {
    linkSync(draft, path)
    return true
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error
    dropIfDead(path)
    return false
  } finally {
    rmSync(draft, { force: true })
  }
}

function dropIfDead(path: string): void {
  const aside = `${path}.dead.${process.pid}`
  try {
    if (isProcessAlive(readFileSync(path, 'utf8'))) return
    renameSync(path, aside)
    // Somebody may have taken it over in between: then what was moved aside is theirs, and goes back.
    if (isProcessAlive(readFileSync(aside, 'utf8'))) linkSync(aside, path)
  } catch (error) {
    if (!hasCode(error, 'ENOENT') && !hasCode(error, 'EEXIST')) throw error
  } finally {
    rmSync(aside, { force: true })
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
