import { createHash } from 'node:crypto'
import { lua } from './lua.ts'

export type ScriptName = keyof typeof lua

/**
 * Lua that the server runs in one step. Rules for all of it: time is the server's; keys come as KEYS and share one hash tag;
 * a call is bounded in bytes and items by its arguments; a consumer's own work is allowed when memory is full
 * (`allow-oom`), since it is what frees memory. Lines and sources count from 0, as in `wire/names.ts`.
 */
export interface Script {
  readonly source: string
  /** What EVALSHA knows it by. */
  readonly sha: string
}

const scripts = new Map<ScriptName, Script>()

export function script(name: ScriptName): Script {
  let found = scripts.get(name)
  if (found === undefined) {
    const source = lua[name]
    found = { source, sha: createHash('sha1').update(source).digest('hex') }
    scripts.set(name, found)
  }
  return found
}

/** Those that the idempotency store needs. */
export const markScripts: readonly ScriptName[] = ['markBegin', 'markExtend', 'markComplete', 'markAbandon']

/** What the rate limit store needs. */
export const rateLimitScripts: readonly ScriptName[] = ['rateLimitTake']

/** What the job store needs. */
export const jobScripts: readonly ScriptName[] = ['jobRead', 'jobAdd', 'jobChange', 'jobBegin', 'jobRenew']

/** Those that the driver needs. */
export const driverScripts: readonly ScriptName[] = [
  ...(['applyTopology', 'publish', 'moveDue', 'cancelDelayed', 'fetch', 'settle'] as const),
  ...(['tend', 'depart', 'handOver', 'tidy', 'replay', 'discard', 'addLetters'] as const),
]
