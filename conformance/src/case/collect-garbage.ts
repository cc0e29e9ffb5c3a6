import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Collects what can be collected and tells how many bytes are left: the heap, and buffers outside it. */
export function collectGarbage(): number {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect !== 'function') throw new Error('This engine cannot be asked to collect garbage')
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
