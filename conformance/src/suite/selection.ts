import { type Case, caseId } from '../case/case.ts'

/** Whether `--only` takes in a case. Parts are numbers (`52`), ids (`52a`) and ranges (`60-66`); none means all. */
export function selects(only: readonly string[], testCase: Pick<Case, 'number' | 'part'>): boolean {
  if (only.length === 0) return true
  return only.some((part) => {
    const range = /^(\d+)-(\d+)$/.exec(part)
    if (range !== null) return testCase.number >= Number(range[1]) && testCase.number <= Number(range[2])
    return part === String(testCase.number) || part === caseId(testCase)
  })
}
