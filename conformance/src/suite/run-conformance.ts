import { type Ability, abilities } from '../case/abilities.ts'
import { type Case, caseId, type Section } from '../case/case.ts'
import { CaseContext } from '../case/case-context.ts'
import { CaseSkipped } from '../case/case-skipped.ts'
import { sections } from '../cases/index.ts'
import type { Harness } from '../harness.ts'
import { inParallel } from './in-parallel.ts'
import { Probes } from './probes.ts'
import { ProcessWatch } from './process-watch.ts'
import { type CaseResult, describeError, type Report } from './report.ts'
import { selects } from './selection.ts'

export interface RunOptions {
  /** Numbers, ids and ranges: `['34', '52a', '60-66']`. Default: all. */
  readonly only?: readonly string[]
  /** How many cases run at once. Default: what the harness says, else 4. */
  readonly parallel?: number
  /** Multiplies every deadline and timeout; mutants run with a short one. Default: 1. */
  readonly deadlineScale?: number
  /** Instead of the contract's own. */
  readonly sections?: readonly Section[]
  /** Called as results come in. */
  readonly onResult?: (result: CaseResult) => void
}

interface PlannedCase {
  readonly section: string
  readonly testCase: Case
}

type Outcome = Pick<CaseResult, 'status' | 'reason'>

/**
 * Runs the contract against a broker. Rejects only if it cannot connect; everything else is in the report. Unhandled
 * rejections and exceptions during the run fail it.
 *
 * ```ts
 * const report = await runConformance(harness, { only: ['1-33'] })
 * console.log(summaryLine(report))
 * ```
 */
export async function runConformance(harness: Harness, options: RunOptions = {}): Promise<Report> {
  const {
    only = [],
    parallel = harness.parallel ?? 4,
    deadlineScale = 1,
    onResult = () => undefined,
  } = options
  const bus = await harness.connect()
  const { capabilities } = bus
  await bus.close()

  const planned: PlannedCase[] = (options.sections ?? sections).flatMap(({ title, cases }) =>
    cases.filter((each) => selects(only, each)).map((testCase) => ({ section: title, testCase })),
  )
  const results = new Map<PlannedCase, CaseResult>()
  const runId = Math.random().toString(36).slice(2, 8)
  const probes = new Probes()
  const watch = new ProcessWatch()

  const contextOf = (label: string) =>
    new CaseContext({ harness, capabilities, uniquePart: `${runId}-${label}`, deadlineScale })

  async function outcomeOf(testCase: Case): Promise<Outcome> {
    const missing = (testCase.requires ?? []).filter((feature) => !capabilities[feature])
    const context = contextOf(caseId(testCase))
    const limitMs = timeoutOf(testCase) * harness.timeScale * deadlineScale
    if (missing.length > 0) {
      const refused = await outcome(context, limitMs, () => probes.run(missing, context))
      if (refused.status === 'failed') return refused
      return { status: 'skipped', reason: `no capability ${missing.join(', ')}; asking for it is refused` }
    }
    const lacking = testCase.needs?.find((ability: Ability) => !abilities[ability].has(harness))
    if (lacking !== undefined) return { status: 'skipped', reason: abilities[lacking].missing }
    return outcome(context, limitMs, () => testCase.run(context))
  }

  async function runCase(plannedCase: PlannedCase): Promise<void> {
    const { testCase, section } = plannedCase
    const startedAt = performance.now()
    const { status, reason } = await outcomeOf(testCase)
    const result: CaseResult = {
      number: testCase.number,
      id: caseId(testCase),
      section,
      title: testCase.title,
      status,
      ...(reason !== undefined && { reason }),
      durationMs: Math.round(performance.now() - startedAt),
    }
    results.set(plannedCase, result)
    onResult(result)
  }

  // Those that may take longest first, so that no other has to wait for them at the end.
  const together = planned
    .filter(({ testCase }) => testCase.alone !== true)
    .sort((one, other) => timeoutOf(other.testCase) - timeoutOf(one.testCase))
  const alone = planned.filter(({ testCase }) => testCase.alone === true)
  try {
    // While the broker has little: one that comes back with the topics of all the others takes far longer.
    await inParallel(alone, 1, runCase)
    await inParallel(together, parallel, runCase)
  } finally {
    await watch.stop()
  }
  const ofCases = planned.flatMap((plannedCase) => results.get(plannedCase) ?? [])
  const unnoticed = watch.results()
  for (const result of unnoticed) onResult(result)
  return { adapter: harness.name, capabilities, results: [...ofCases, ...unnoticed] }
}

function timeoutOf({ timeoutMs = 60_000 }: Case): number {
  return timeoutMs
}

/** How a case ends that is given `limitMs`, its cleaning up included. */
async function outcome(context: CaseContext, limitMs: number, run: () => Promise<void>): Promise<Outcome> {
  const limit = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    const waits = context.waitingFor.join('; ')
    limit.reject(new Error(`Not done within ${Math.round(limitMs)} ms${waits && `, waiting for: ${waits}`}`))
  }, limitMs)
  let result: Outcome = { status: 'passed' }
  try {
    await Promise.race([run(), limit.promise])
  } catch (error) {
    result =
      error instanceof CaseSkipped
        ? { status: 'skipped', reason: error.message }
        : { status: 'failed', reason: describeError(error) }
  }
  clearTimeout(timer)
  try {
    await context.close()
  } catch (error) {
    if (result.status === 'passed') result = { status: 'failed', reason: describeError(error) }
  }
  return result
}
