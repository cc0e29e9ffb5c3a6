import type { Duration } from '../lib/duration.ts'

/** What becomes of a message by somebody's wish, instead of by its handler's success or failure. */
export type Wish =
  | { readonly kind: 'retry'; readonly delay: Duration | undefined }
  | { readonly kind: 'dead-letter'; readonly reason: string }
  | { readonly kind: 'release' }

/** The result of a handler inside core that wants something else than an ack. What users' handlers return is ignored. */
export class AskedVerdict {
  readonly wish: Wish

  constructor(wish: Wish) {
    this.wish = wish
  }
}

export const askedRelease = new AskedVerdict({ kind: 'release' })
