import { type Driver, parseBrokerUrl, systemClock } from '@waybill/core/driver'
import type { CaseContext } from '../../case/case-context.ts'

/** The driver itself, as a dashboard has it that knows no definitions. */
export async function openDriver(context: CaseContext): Promise<Driver> {
  const { adapter, connection } = context.harness
  const driver = await adapter.connect(parseBrokerUrl(connection.url), {
    native: undefined,
    instance: context.unique('instance'),
    clock: systemClock,
    signal: new AbortController().signal,
    emit: () => undefined,
  })
  context.defer(() => driver.close())
  return driver
}
