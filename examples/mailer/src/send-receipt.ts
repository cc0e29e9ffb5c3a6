import { exponential } from '@waybill/core'
import { defineJob } from '@waybill/jobs'
import { z } from 'zod'

/** How many mails the provider takes in a second. */
export const mostPerSecond = 50

export const SendReceipt = defineJob('send-receipt', {
  input: z.object({ orderId: z.string(), to: z.string(), cents: z.int() }),
  retry: { attempts: 6, backoff: exponential({ initial: '100ms', max: '2s' }) },
  rateLimit: { max: mostPerSecond, per: '1s' },
})
