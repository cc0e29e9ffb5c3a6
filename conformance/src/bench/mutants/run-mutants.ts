import { caseId, type Section } from '../../case/case.ts'
import { sections } from '../../cases/index.ts'
import { inParallel } from '../../suite/in-parallel.ts'
import { ProcessWatch } from '../../suite/process-watch.ts'
import { summaryLine } from '../../suite/report.ts'
import { runConformance } from '../../suite/run-conformance.ts'
import { open } from '../harnesses/memory.ts'
import { mutants } from './index.ts'
import type { Mutant } from './mutant.ts'
import { type Catch, type MutantReport, problemsOf, writeMutantReport } from './mutant-report.ts'

/** Healthy cases need no longer; what a mutant breaks is noticed after this share of the deadline. */
const deadlineScale = 0.25
const parallel = 6

/** Each mutant against the cases that name its fault. False when one survives, or a case on memory has no mutant. */
export async function runMutants(only: readonly string[] = []): Promise<boolean> {
  const report = await testMutants(only)
  const problems = problemsOf(report)
  if (only.length === 0) await writeMutantReport(report)
  for (const problem of problems) console.log(`  failed  ${problem}`)
  const caught = report.catches.length
  console.log(`mutants: ${report.mutants.length} mutants, ${caught} catches, ${problems.length} problems`)
  return problems.length === 0
}

async function testMutants(only: readonly string[]): Promise<MutantReport> {
  // What a broken driver throws from its timers must not end the run.
  const watch = new ProcessWatch()
  try {
    const control = await runControl(only)
    const wanted = mutants.filter(({ name }) => only.length === 0 || only.includes(name))
    const alone = wanted.filter(({ caughtBy }) => caughtBy.some((id) => isAlone(id)))
    const catches: Catch[] = []
    const test = async (mutant: Mutant) => {
      const found = await testMutant(mutant)
      catches.push(...found)
      const survived = mutant.caughtBy.filter((id) => !found.some(({ caseId: caught }) => caught === id))
      console.log(
        `  ${survived.length === 0 ? 'caught  ' : `survived ${survived.join(', ')}`} ${mutant.name}`,
      )
    }
    await inParallel(
      wanted.filter((mutant) => !alone.includes(mutant)),
      parallel,
      test,
    )
    await inParallel(alone, 1, test)
    return { mutants: wanted, catches, control, cases: only.length === 0 ? runningOnMemory(control) : [] }
  } finally {
    await watch.stop()
  }
}

/** The healthy driver with the same short deadlines: what fails there shows nothing. */
async function runControl(only: readonly string[]): Promise<MutantReport['control']> {
  const { harness, close } = await open('mutants-control')
  try {
    const ids =
      only.length === 0 ? [] : mutants.flatMap(({ name, caughtBy }) => (only.includes(name) ? caughtBy : []))
    const report = await runConformance(
      { ...harness, name: 'control' },
      { only: ids, parallel, deadlineScale },
    )
    console.log(summaryLine(report))
    return report.results
  } finally {
    await close()
  }
}

async function testMutant(mutant: Mutant): Promise<Catch[]> {
  const { harness, close } = await open(`mutant-${mutants.indexOf(mutant)}`)
  try {
    const mutated = mutant.mutate(harness)
    const { results } = await runConformance(mutated, { only: mutant.caughtBy, parallel: 1, deadlineScale })
    return results
      .filter(({ id, status }) => status === 'failed' && mutant.caughtBy.includes(id))
      .map(({ id, reason = '' }) => ({ mutant: mutant.name, caseId: id, reason }))
  } catch (error) {
    // It does not even connect: every case that uses it would fail.
    return mutant.caughtBy.map((id) => ({ mutant: mutant.name, caseId: id, reason: String(error) }))
  } finally {
    await close()
  }
}

function runningOnMemory(control: MutantReport['control']): string[] {
  return control.filter(({ status, number }) => status !== 'skipped' && number > 0).map(({ id }) => id)
}

function isAlone(id: string): boolean {
  return sections
    .flatMap(({ cases }: Section) => cases)
    .some((each) => each.alone === true && caseId(each) === id)
}
