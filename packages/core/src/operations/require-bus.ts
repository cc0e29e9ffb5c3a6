import type { Bus } from '../bus/bus.ts'
import { ConfigurationError, describe } from '../lib/errors.ts'
import { hasFunctions } from '../lib/validation.ts'

/** @throws {ConfigurationError} when it is no bus: a promise that was not awaited, for example. */
export function requireBus(bus: Bus, what: string): void {
  if (hasFunctions(bus, ['health', 'observe', 'close'])) return
  throw new ConfigurationError(what, [
    { path: 'bus', message: `expected a bus made by \`await connect()\`, not ${describe(bus)}` },
  ])
}
