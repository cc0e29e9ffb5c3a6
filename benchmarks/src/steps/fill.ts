import { runCallers } from '../callers.ts'
import type { Scale, Step } from '../work.ts'
import { withParticipant } from '../work.ts'

const callers = 256
// A way of sending that is very slow gets a smaller backlog, rather than hold up the round.
const longestSeconds = 15

/** Sends the backlog that a later step consumes. `patient`: the whole of it, however long that takes. */
export function fill(size: (scale: Scale) => number, { patient }: { readonly patient: boolean }): Step {
  return (context) =>
    withParticipant(context, async (participant) => {
      const wanted = size(context.scale)
      const until = performance.now() + (patient ? Number.POSITIVE_INFINITY : longestSeconds * 1000)
      const sent = await runCallers((event) => participant.send(event), {
        callers,
        from: 0,
        goOn: (next) => next < wanted && performance.now() < until,
      })
      return { readings: { sent } }
    })
}
