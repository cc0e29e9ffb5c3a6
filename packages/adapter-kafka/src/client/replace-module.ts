import { createRequire } from 'node:module'

const load = createRequire(import.meta.url)

/**
 * Puts a function of ours in the place of a module of kafkajs, where its other modules take it from when they are loaded. A
 * process that used kafkajs before keeps what it has.
 */
export function replaceModule(path: string, ours: unknown): void {
  // It must have been loaded to have a place.
  load(path)
  const module = load.cache[load.resolve(path)]
  if (module !== undefined) module.exports = ours
}
