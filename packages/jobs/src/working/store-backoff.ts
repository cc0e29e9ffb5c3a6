import { exponential } from '@waybill/core'

/** How long to wait when a store has failed: not the job has, so it is tried again until the store answers. */
export const storeBackoff = exponential({ initial: '500ms', max: '30s' })
