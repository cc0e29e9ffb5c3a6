/** The command line, or what it names, is wrong. The message is one sentence that says what to do instead. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
