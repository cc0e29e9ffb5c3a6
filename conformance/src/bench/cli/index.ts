import type { Section } from '../../case/case.ts'
import type { OpenHarness } from '../open-harness.ts'
import { deadLetterCases } from './dead-letter-cases.ts'
import { figureCases } from './figure-cases.ts'
import { messageCases } from './message-cases.ts'
import { setupCases } from './setup-cases.ts'

const cliSections: readonly Section[] = [
  { title: 'Figures and positions', cases: figureCases },
  { title: 'Dead letters', cases: deadLetterCases },
  { title: 'Messages', cases: messageCases },
  { title: 'Setup', cases: setupCases },
]

/** The command line at a broker: the same cases at each. Each of them runs processes, so that few at once are enough. */
export function commandLineAt({ harness, close }: OpenHarness): OpenHarness {
  return { harness: { ...harness, name: `${harness.name}-cli`, parallel: 2 }, sections: cliSections, close }
}
