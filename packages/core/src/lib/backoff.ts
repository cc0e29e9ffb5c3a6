/** Milliseconds to wait after the given attempt (1 is the first) has failed. Negative counts as 0; NaN and infinity mean the default. */
export type Backoff = (attempt: number) => number

/** How waits grow; times in milliseconds. */
export interface Growth {
  readonly initial: number
  readonly max: number
  readonly factor: number
  readonly jitter: number
}

/** `initial`, then `factor` times longer after each attempt, up to `max`, with jitter. Checks nothing. */
export function growing({ initial, max, factor, jitter }: Growth, random = Math.random): Backoff {
  // The power overflows after a thousand attempts, and 0 times infinity is NaN.
  const growth = (attempt: number) => Math.min(factor ** (attempt - 1), Number.MAX_VALUE)
  return (attempt) => Math.round(Math.min(max, initial * growth(attempt)) * (1 - jitter * random()))
}
