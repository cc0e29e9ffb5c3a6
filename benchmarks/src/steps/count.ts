import type { Step } from '../work.ts'
import { consume } from './consume.ts'

/** Takes what was sent off the broker again, only to count it. */
export const count: Step = async (context) => {
  const { readings, problem } = await consume(context)
  return { readings: { duplicates: readings.duplicates ?? 0 }, problem }
}
