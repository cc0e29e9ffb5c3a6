import { setTimeout as sleep } from 'node:timers/promises'
import type { DeadLetters } from '@waybill/core'
import { type ExitCode, exitCodes } from '../../failures/exit-codes.ts'
import { countOf, formatCount } from '../../output/format.ts'
import type { Session } from '../../session.ts'
import { type Selection, selectIds } from './selection.ts'

// Some brokers look through all letters for each call: many at once, but few enough for the progress to move.
const idsAtOnce = 500

// Of a batch under way when the command is interrupted: within the time that the process gets for ending.
const patienceMs = 3000

/** What a command does to letters, and how it says so. */
export interface Treatment {
  /** `replayed`, `discarded`: in results and sentences. */
  readonly done: string
  /** `Replaying`. */
  readonly doing: string
  /** Asked before the first letter is touched. */
  readonly question?: (count: string) => string
  readonly treat: (deadLetters: DeadLetters, ids: readonly string[]) => Promise<number>
}

export interface TreatOptions {
  readonly dryRun?: true | undefined
  readonly yes?: true | undefined
}

/** Does it to all that are selected, in batches; an interruption ends it after one of them. */
export async function treatLetters(
  session: Session,
  where: { readonly topic: string; readonly group: string },
  selection: Selection,
  { done, doing, question, treat }: Treatment,
  { dryRun, yes }: TreatOptions,
): Promise<ExitCode | undefined> {
  const { deadLetters } = await session.group(where.topic, where.group)
  const { ids, missing } = await selectIds(deadLetters, selection)
  const letters = countOf(ids.length, 'letter')
  const gone = missing.length === 0 ? '' : ` There is no letter ${missing.join(', ')}.`
  if (dryRun === true) {
    const result = { ...where, dryRun: true, [done]: 0, selected: ids.length, ids, missing }
    await session.output.result(result, `${letters} would be ${done}.${gone}`)
    return missing.length === 0 ? undefined : exitCodes.failed
  }
  if (question !== undefined && ids.length > 0) await session.confirm(question(letters), yes)
  const progress = session.progress(doing, ids.length)
  let count = 0
  let isUnknown = false
  let isOver = false
  const work = async () => {
    for (let start = 0; start < ids.length; start += idsAtOnce) {
      session.signal.throwIfAborted()
      const batch = ids.slice(start, start + idsAtOnce)
      isUnknown = true
      count += await treat(deadLetters, batch)
      isUnknown = false
      progress.add(batch.length)
    }
    isOver = true
  }
  const working = work()
  // The connection stays open for the batch under way, so that what is told is what was done.
  const ended = working.catch(() => {})
  session.defer(async () => void (await Promise.race([ended, sleep(patienceMs, undefined, { ref: false })])))
  try {
    await working
  } finally {
    progress.end()
    const known = isUnknown ? 'at least ' : ''
    if (!isOver) session.output.note(`waybill: ${known}${formatCount(count)} of ${letters} were ${done}.`)
  }
  const result = { ...where, dryRun: false, [done]: count, selected: ids.length, missing }
  await session.output.result(
    result,
    `${countOf(count, 'letter')} ${count === 1 ? 'was' : 'were'} ${done}.${gone}`,
  )
  return missing.length === 0 ? undefined : exitCodes.failed
}
