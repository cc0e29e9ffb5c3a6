/** What `waybill` exits with. Scripts rely on these: documented in docs/command-line.md. */
export const exitCodes = {
  ok: 0,
  /** A problem was found, or something failed. */
  failed: 1,
  /** The command line or what it names is wrong; nothing was changed. */
  usage: 2,
  /** No connection: the broker cannot be reached, or its adapter is not installed. */
  unreachable: 3,
  /** Wrong credentials, or a right is missing. */
  denied: 4,
  /** The broker cannot do it. */
  unsupported: 5,
  /** A time limit of the command passed. */
  timeout: 124,
  interrupted: 130,
  terminated: 143,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]
