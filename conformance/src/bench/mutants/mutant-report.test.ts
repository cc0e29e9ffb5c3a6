import { expect, test } from 'vitest'
import { type MutantReport, problemsOf, toMarkdown } from './mutant-report.ts'

const result = {
  number: 1,
  id: '1',
  section: 'Basics',
  title: 'All arrive',
  status: 'passed',
  durationMs: 5,
} as const
const mutant = { name: 'loses messages', fault: 'Loses messages', caughtBy: ['1'] }
const caught: MutantReport = {
  mutants: [mutant],
  catches: [{ mutant: 'loses messages', caseId: '1', reason: '3 missing' }],
  control: [result],
  cases: ['1'],
}

test('nothing is wrong when every mutant is caught and every case has caught one', () => {
  expect(problemsOf(caught)).toEqual([])
})

test('a mutant that survives a case that names it is a problem, and so is a case without a mutant', () => {
  expect(problemsOf({ ...caught, catches: [] })).toEqual([
    'mutant "loses messages" survives case 1',
    'case 1 was never caught failing: it has no mutant',
  ])
})

test('a case that fails on the healthy driver is a problem', () => {
  const control = [{ ...result, status: 'failed' as const, reason: 'too slow' }]
  expect(problemsOf({ ...caught, control })).toEqual(['case 1 fails without any mutant: too slow'])
})

test('the report has a row for each case and each mutant', () => {
  const markdown = toMarkdown(caught)
  expect(markdown).toContain('| 1 | All arrive | loses messages |')
  expect(markdown).toContain('| loses messages | Loses messages | 1 |')
})
