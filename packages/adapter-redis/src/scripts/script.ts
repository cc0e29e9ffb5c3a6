import { createHash } from 'node:crypto'

/**
 * Lua that the server runs in one step. Rules for all of it: time is the server's; keys come as KEYS and share one hash
 * tag; a consumer's own work is allowed when memory is full (`allow-oom`), since it is what frees memory. Numbers of lines
 * and sources count from 0, as in `wire.ts`.
 */
export interface Script {
  readonly source: string
  /** What EVALSHA knows it by. */
  readonly sha: string
}

/** `flags` stand in a script's first line (Redis documentation, "Eval scripts", script flags; since 7.0). */
export function script(source: string, flags = ''): Script {
  const text = `${flags === '' ? '' : `#!lua flags=${flags}\n`}${source.trim()}\n`
  return { source: text, sha: createHash('sha1').update(text).digest('hex') }
}
