import { mkdirSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'

/**
 * Where the processes on this machine that run brokers tell each other what they did: locks, who uses the
 * engine, which registry did not answer. Everything in it may be deleted while nothing runs.
 */
export function stateDirectory(): string {
  const directory = join(tmpdir(), `waybill-brokers-${userInfo().uid}`)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  return directory
}
