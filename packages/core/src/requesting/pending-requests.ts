import type { Clock } from '../lib/clock.ts'
import { MessagingError } from '../lib/errors.ts'
import type { RequestDefinition } from '../messages/definition.ts'
import { Deadlines } from '../sending/deadlines.ts'

/** A request that has no reply yet. */
export interface PendingRequest {
  readonly definition: RequestDefinition
  readonly id: string
  /** By the monotonic clock. */
  readonly deadline: number
  /** Its message has been handed to the producer. */
  isSent: boolean
  /** Its first reply has come, and is being validated. */
  isAnswered: boolean
  /** The first call counts. */
  resolve(reply: unknown): void
  reject(error: unknown): void
}

// A month, which no request waits for.
const longestMs = 30 * 86_400_000

/** The requests of a bus that have no reply yet. */
export class PendingRequests {
  readonly #clock: Clock
  readonly #deadlines: Deadlines
  readonly #byId = new Map<string, PendingRequest>()
  readonly #timeoutError: (request: PendingRequest) => MessagingError
  #letGo: (() => void) | undefined

  constructor(clock: Clock, timeoutError: (request: PendingRequest) => MessagingError) {
    this.#clock = clock
    this.#deadlines = new Deadlines(clock)
    this.#timeoutError = timeoutError
  }

  get(id: string): PendingRequest | undefined {
    return this.#byId.get(id)
  }

  has(id: string): boolean {
    return this.#byId.has(id)
  }

  /** Calls `begin` with the new request, and waits for its reply. */
  async wait(
    { definition, id, timeoutMs, signal }: RequestLimits,
    begin: (request: PendingRequest) => void,
  ): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const deadline = this.#clock.monotonic() + timeoutMs
    const request: PendingRequest = {
      definition,
      id,
      deadline,
      isSent: false,
      isAnswered: false,
      resolve,
      reject,
    }
    const watched = this.#deadlines.add(deadline, () => reject(this.#timeoutError(request)))
    const onAbort = () => reject(given(request, 'aborted', 'its signal fired', signal?.reason))
    this.#byId.set(id, request)
    // Deadlines do not keep the process alive, and a memory broker has nothing else that does.
    this.#letGo ??= this.#clock.after(longestMs, () => {})
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      begin(request)
      return await promise
    } finally {
      this.#byId.delete(id)
      if (this.#byId.size === 0) this.#stopHolding()
      this.#deadlines.remove(watched)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  #stopHolding(): void {
    this.#letGo?.()
    this.#letGo = undefined
  }

  /** Nobody waits any longer. */
  close(): void {
    for (const request of this.#byId.values()) request.reject(given(request, 'closed', 'the bus was closed'))
    this.#deadlines.close()
  }
}

export interface RequestLimits {
  readonly definition: RequestDefinition
  readonly id: string
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

/** Whether anybody may have handled it. */
export function fateOf({ isSent }: PendingRequest): 'not-sent' | 'unknown' {
  return isSent ? 'unknown' : 'not-sent'
}

function given(
  request: PendingRequest,
  code: 'aborted' | 'closed',
  why: string,
  cause?: unknown,
): MessagingError {
  const { definition, id, isSent } = request
  const known = isSent ? 'whether it was handled is unknown' : 'nothing was sent'
  const what = `Request ${definition.type} ${id} has no reply, and ${why}; ${known}`
  return new MessagingError(code, what, { fate: fateOf(request), cause })
}
