/**
 * Says on stderr what the harness is about to do to this machine. stderr, because stdout belongs to the
 * results (and to the JSON of `cli.ts --json`).
 */
export function announce(message: string): void {
  process.stderr.write(`[brokers] ${message}\n`)
}
