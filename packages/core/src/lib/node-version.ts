import { MessagingError } from './errors.ts'

const oldest = 22

/** @throws {MessagingError} `unsupported` on a Node that is too old, in one sentence instead of an obscure error later. */
export function requireNode(version: string): void {
  if (Number.parseInt(version, 10) >= oldest) return
  throw new MessagingError(
    'unsupported',
    `Waybill needs Node ${oldest} or newer, and this is Node ${version}`,
  )
}
