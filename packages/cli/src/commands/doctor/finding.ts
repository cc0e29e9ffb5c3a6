import { MessagingError } from '@waybill/core'
import { sentenceOf } from '../../failures/explain-failure.ts'
import { formatDuration } from '../../output/format.ts'
import type { Column } from '../../output/table.ts'

/** What one check of `doctor` found. */
export interface Finding {
  readonly check: string
  readonly status: 'ok' | 'warning' | 'failed' | 'skipped'
  readonly detail: string
  readonly durationMs?: number
}

export const columns: readonly Column<Finding>[] = [
  { title: 'status', text: ({ status }) => status },
  { title: 'check', text: ({ check }) => check },
  {
    title: 'took',
    align: 'right',
    text: ({ durationMs }) => (durationMs === undefined ? '' : formatDuration(durationMs)),
  },
  { title: 'detail', text: ({ detail }) => detail, width: Number.POSITIVE_INFINITY },
]

export function toJson({ check, status, detail, durationMs }: Finding): object {
  return { check, status, detail, durationMs: durationMs === undefined ? null : Math.round(durationMs) }
}

/** Runs a check; what it resolves with is the detail. What the broker cannot do is a warning, whatever else it throws a failure. */
export async function examine(check: string, run: () => Promise<string>): Promise<Finding> {
  const startedAt = performance.now()
  try {
    const detail = await run()
    return { check, status: 'ok', detail, durationMs: performance.now() - startedAt }
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown))
    const isLacking = MessagingError.is(error) && error.code === 'unsupported'
    return { check, status: isLacking ? 'warning' : 'failed', detail: sentenceOf(error) }
  }
}
