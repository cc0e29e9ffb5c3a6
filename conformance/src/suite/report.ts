import type { Capabilities } from '@waybill/core/driver'

export type Status = 'passed' | 'failed' | 'skipped'

export interface CaseResult {
  /** In the contract; 0 for what belongs to the run as a whole. */
  readonly number: number
  readonly id: string
  readonly section: string
  readonly title: string
  readonly status: Status
  /** Why it was skipped, or what was wrong. */
  readonly reason?: string
  readonly durationMs: number
}

/** What a run of the suite on one broker has shown. */
export interface Report {
  /** The harness's name. */
  readonly adapter: string
  readonly capabilities: Capabilities
  readonly results: readonly CaseResult[]
}

/**
 * How many cases ended with this status.
 *
 * ```ts
 * process.exitCode = countOf(report, 'failed') > 0 ? 1 : 0
 * ```
 */
export function countOf(report: Report, status: Status): number {
  return report.results.filter((result) => result.status === status).length
}

/**
 * A report in one line.
 *
 * ```ts
 * summaryLine(report) // 'rabbitmq: 97 passed, 0 failed, 3 skipped'
 * ```
 */
export function summaryLine(report: Report): string {
  const { adapter } = report
  const count = (status: Status) => `${countOf(report, status)} ${status}`
  return `${adapter}: ${count('passed')}, ${count('failed')}, ${count('skipped')}`
}

/** An error with its causes, one a line. */
export function describeError(thrown: unknown): string {
  const lines: string[] = []
  for (let current = thrown; current !== undefined && lines.length < 5; ) {
    lines.push(current instanceof Error ? `${current.name}: ${current.message}` : String(current))
    current = current instanceof Error ? current.cause : undefined
  }
  return lines.join('\n  because ')
}
