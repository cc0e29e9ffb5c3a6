import { fixed } from '@waybill/core'
import { defineJob } from '@waybill/jobs'
import { z } from 'zod'

const input = z.object({
  /**
   * `hang`: the first attempt never ends. `fail`: the first two attempts fail. `wait`: it ends when it is cancelled. `work`: it takes a
   * while.
   */
  kind: z.enum(['quick', 'hang', 'fail', 'wait', 'work']),
  ms: z.number().default(0),
})

export type TaskData = z.input<typeof input>

/** What the cases let workers do, in a queue of their own; resolves with the number of its attempt. */
export function taskOf(queue: string) {
  return defineJob(queue, {
    input,
    output: z.object({ attempt: z.number(), children: z.array(z.string()) }),
    retry: { attempts: 10, backoff: fixed(50) },
  })
}

/** A tick of a schedule. Nobody runs it. */
export const Tick = defineJob('tick', { input: z.object({}) })
