import type { Payment } from '../bank.ts'
import type { Email } from '../mail.ts'
import type { Order } from '../messages.ts'

/** What a process of the shop is for. */
export type Job =
  /** Takes orders. */
  | { readonly role: 'till'; readonly url: string }
  /** Charges, sets aside and writes e-mail. `database` is a file that all of them share, so that each effect happens once. */
  | { readonly role: 'services'; readonly url: string; readonly database: string }
  | { readonly role: 'bridge'; readonly from: string; readonly to: string; readonly fromBeginning: boolean }

export type Question =
  | { readonly kind: 'place'; readonly line: number; readonly request: string }
  /** Of services: how many orders they have charged. */
  | { readonly kind: 'charged' }
  /** Of the bridge: until nothing waits for it any more. */
  | { readonly kind: 'drain' }
  | { readonly kind: 'stop' }

export type Report =
  /** `order`: it was accepted. */
  | { readonly kind: 'place'; readonly order: Order | undefined }
  | { readonly kind: 'charged'; readonly count: number }
  | { readonly kind: 'drain'; readonly moved: number }
  | { readonly kind: 'stop'; readonly effects: Effects }

/** What the parent sends. */
export interface Call {
  readonly call: number
  readonly question: Question
}

/** What comes back. */
export type Answer =
  | { readonly call: number; readonly report: Report }
  | { readonly call: number; readonly problem: string }

/** What a process did to the world. */
export interface Effects {
  readonly payments: readonly (readonly [string, Payment])[]
  readonly shelf: readonly (readonly [string, number])[]
  readonly emails: readonly Email[]
}

export const noEffects: Effects = { payments: [], shelf: [], emails: [] }
