import { commandLineAt } from '../cli/index.ts'
import type { OpenHarness } from '../open-harness.ts'
import { open as openBroker } from './kafka.ts'

/** The command line on this broker. */
export async function open(): Promise<OpenHarness> {
  return commandLineAt(await openBroker())
}
