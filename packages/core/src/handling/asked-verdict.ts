import type { Duration } from '../lib/duration.ts'

/** A verdict that somebody asked for explicitly, instead of one from the handler's success or failure. */
export type Wish =
  | { readonly kind: 'retry'; readonly delay: Duration | undefined }
  | { readonly kind: 'dead-letter'; readonly reason: string }
  | { readonly kind: 'release' }

/** What a handler inside core returns for anything but an ack. What users' handlers return is ignored. */
export class AskedVerdict {
  readonly wish: Wish

  constructor(wish: Wish) {
    this.wish = wish
  }
}

export const askedRelease = new AskedVerdict({ kind: 'release' })
