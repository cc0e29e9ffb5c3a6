import { fixed } from '@waybill/core'
import { defineJob } from '@waybill/jobs'
import { z } from 'zod'

/** What the load consists of: its effect is its number, written once; one that is to fail has none. */
export const Load = defineJob('load', {
  input: z.object({ n: z.int(), fails: z.boolean() }),
  // Workers are killed, and each loss counts.
  retry: { attempts: 1000, backoff: fixed(100) },
})
