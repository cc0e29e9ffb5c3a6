import type { HandlerContext, Message } from '@waybill/core'

/** A delivery on its way to a worker. */
export interface HandedOver {
  readonly call: number
  readonly group: string
  readonly message: Message
  readonly context: Omit<HandlerContext, 'signal' | 'message'>
}

/** What became of it. */
export interface HandedBack {
  readonly call: number
  /** Why it failed; undefined if it did not. */
  readonly error: { readonly message: string; readonly isPermanent: boolean } | undefined
}

/** Structured clones keep dates and bytes as they are. */
export const serialization = 'advanced'

export function isHandedOver(value: unknown): value is HandedOver {
  return typeof value === 'object' && value !== null && 'call' in value && 'message' in value
}

export function isHandedBack(value: unknown): value is HandedBack {
  return typeof value === 'object' && value !== null && 'call' in value && 'error' in value
}
