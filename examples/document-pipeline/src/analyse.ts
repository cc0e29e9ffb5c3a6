import type { ChildResult } from '@waybill/jobs'
import { z } from 'zod'

const extracted = z.object({ pages: z.array(z.string()) })

/** Runs in a thread: whatever it takes, the worker's event loop is free. */
export default async function analyse(
  _job: unknown,
  { children }: { children(): Promise<readonly ChildResult[]> },
): Promise<{ readonly words: number; readonly longest: string }> {
  const [before] = await children()
  const { pages } = extracted.parse(before?.output)
  const words = pages.flatMap((page) => page.split(/\s+/).filter((word) => word !== ''))
  const longest = words.reduce((one, other) => (other.length > one.length ? other : one), '')
  return { words: words.length, longest }
}
