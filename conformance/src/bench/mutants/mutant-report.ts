import { mkdir, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { CaseResult } from '../../suite/report.ts'
import type { Mutant } from './mutant.ts'

/** A case that failed because of a mutant, as it should. */
export interface Catch {
  readonly mutant: string
  readonly caseId: string
  /** What the case said. */
  readonly reason: string
}

export interface MutantReport {
  readonly mutants: readonly Pick<Mutant, 'name' | 'fault' | 'caughtBy'>[]
  readonly catches: readonly Catch[]
  /** The same cases on the healthy driver. */
  readonly control: readonly CaseResult[]
  /** Ids of the cases each of which must be caught failing by a mutant. */
  readonly cases: readonly string[]
}

/** Why the suite cannot be trusted, in sentences; none when it can. */
export function problemsOf({ mutants, catches, control, cases }: MutantReport): string[] {
  const isCaught = (mutant: string, caseId: string) =>
    catches.some((each) => each.mutant === mutant && each.caseId === caseId)
  return [
    ...control
      .filter(({ status }) => status === 'failed')
      .map(({ id, reason }) => `case ${id} fails without any mutant: ${reason}`),
    ...mutants.flatMap(({ name, caughtBy }) =>
      caughtBy.filter((id) => !isCaught(name, id)).map((id) => `mutant "${name}" survives case ${id}`),
    ),
    ...cases
      .filter((id) => !catches.some(({ caseId }) => caseId === id))
      .map((id) => `case ${id} was never caught failing: it has no mutant`),
  ]
}

/** The report for people; without times, so that it changes only when the suite does. */
export function toMarkdown({ mutants, catches, control, cases }: MutantReport): string {
  const titles = new Map(control.map(({ id, title }) => [id, title]))
  const rows = cases.map((id) => {
    const names = mutants.filter(({ name }) =>
      catches.some((each) => each.mutant === name && each.caseId === id),
    )
    return `| ${id} | ${titles.get(id) ?? ''} | ${names.map(({ name }) => name).join(', ')} |`
  })
  return `# The mutants of the conformance suite

Written by \`npm run conformance -- --mutants\`. Each of the ${cases.length} cases that run on memory was seen to fail with a
driver or a bus that is broken on purpose, by ${mutants.length} mutants in all; the same cases pass on the healthy one.

| case | behaviour | caught failing by |
| --- | --- | --- |
${rows.join('\n')}

| mutant | fault | named by cases |
| --- | --- | --- |
${mutants.map(({ name, fault, caughtBy }) => `| ${name} | ${fault} | ${caughtBy.join(', ')} |`).join('\n')}
`
}

export async function writeMutantReport(report: MutantReport): Promise<void> {
  const folder = fileURLToPath(new URL('../../../.cache/', import.meta.url))
  await mkdir(folder, { recursive: true })
  await writeFile(`${folder}mutants.md`, toMarkdown(report))
  const { mutants, catches } = report
  const list = mutants.map(({ name, fault, caughtBy }) => ({
    name,
    fault,
    caughtBy,
    catches: catches
      .filter(({ mutant }) => mutant === name)
      .map(({ caseId, reason }) => ({ case: caseId, reason })),
  }))
  await writeFile(`${folder}mutants.json`, `${JSON.stringify(list, undefined, 2)}\n`)
}
