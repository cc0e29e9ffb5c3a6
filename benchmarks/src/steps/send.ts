import { runCallers } from '../callers.ts'
import { Stopwatch } from '../stopwatch.ts'
import { type Step, withParticipant } from '../work.ts'

// Until V8 has compiled what runs. A lone caller takes longer to send as often.
const warmUpSeconds = (callers: number) => (callers === 1 ? 3 : 1)

/** Has so many callers send for a while, each awaiting its sends, and reads rate and CPU time after a warm-up. */
export function send(callers: number): Step {
  return (context) =>
    withParticipant(context, async (participant) => {
      const sendFor = (from: number, seconds: number) => {
        const until = performance.now() + seconds * 1000
        return runCallers((event) => participant.send(event), {
          callers,
          from,
          goOn: () => performance.now() < until,
        })
      }
      const warm = await sendFor(0, warmUpSeconds(callers))
      const stopwatch = new Stopwatch()
      const sent = await sendFor(warm, context.scale.seconds)
      const { seconds, cpuMicroseconds } = stopwatch.read()
      const messages = sent - warm
      return { readings: { sent, rate: messages / seconds, cpu: cpuMicroseconds / messages } }
    })
}
