import { growing } from './backoff.ts'

/** How core waits between tries at a broker that does not answer: soon at first, every 2 s at most, with jitter. */
export const reconnectBackoff = growing({ initial: 50, max: 2000, factor: 2, jitter: 0.3 })
