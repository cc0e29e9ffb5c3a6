import type { IdempotencyMark } from '@waybill/core'

/** How often each of the rivals does everything. */
export const rounds = 100

export const markOf = (n: number): IdempotencyMark => ({
  ...{ group: 'rivals', topic: 'marks', type: 'mark.wanted', source: 'test', id: `mark-${n}` },
})
