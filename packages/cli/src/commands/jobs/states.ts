import type { JobState } from '@waybill/jobs'

/** In the order in which they are shown. */
export const states = [
  'waiting',
  'delayed',
  'waiting-for-children',
  'active',
  'completed',
  'failed',
  'cancelled',
] as const satisfies readonly JobState[]
