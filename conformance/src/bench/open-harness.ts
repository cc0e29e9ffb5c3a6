import type { Section } from '../case/case.ts'
import type { Harness } from '../harness.ts'

/** A harness whose broker runs; what a module in `harnesses` opens. */
export interface OpenHarness {
  readonly harness: Harness
  /** What the adapter promises beyond the contract, in a harness that is there to show that. */
  readonly sections?: readonly Section[]
  close(): Promise<void>
}
