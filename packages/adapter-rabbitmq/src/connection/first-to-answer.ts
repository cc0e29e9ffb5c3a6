import type { Clock } from '@waybill/core/driver'

/** How long a host may stay silent before the next one is tried in parallel. */
const patienceMs = 1500

export interface Attempts<Host, Value> {
  readonly hosts: readonly Host[]
  readonly clock: Clock
  /** The signal fires when another host was faster, or the connection is no longer wanted. */
  readonly connect: (host: Host, signal: AbortSignal) => Promise<Value>
  /** Whether an error will be the same on every host. */
  readonly isFinal: (error: unknown) => boolean
  /** Disposes of a connection that came too late. */
  readonly discard: (value: Value) => void
  readonly signal: AbortSignal
}

/**
 * Connects to the first host that answers. A host that fails is followed by the next at once, one that hangs after a
 * moment, so that it does not use up the time of the others. Rejects with the last error once all have failed, or with a
 * final one.
 */
export function firstToAnswer<Host, Value>(attempts: Attempts<Host, Value>): Promise<Value> {
  const { hosts, clock, connect, isFinal, discard, signal } = attempts
  return new Promise((resolve, reject) => {
    const losers = new AbortController()
    const stop = losers.signal
    const onAbort = () => losers.abort()
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    let next = 0
    let open = 0
    let isOver = false
    let cancel: () => void = () => undefined
    const end = (settle: () => void) => {
      if (isOver) return
      isOver = true
      cancel()
      signal.removeEventListener('abort', onAbort)
      settle()
      losers.abort()
    }
    const tryNext = () => {
      cancel()
      const host = hosts[next]
      if (isOver || host === undefined) return
      next += 1
      open += 1
      cancel = clock.after(patienceMs, tryNext)
      connect(host, stop).then(
        (value) => (isOver ? discard(value) : end(() => resolve(value))),
        (error: unknown) => {
          open -= 1
          const isLast = open === 0 && next === hosts.length
          if (isFinal(error) || isLast || stop.aborted) end(() => reject(error))
          else if (open === 0) tryNext()
        },
      )
    }
    tryNext()
  })
}
