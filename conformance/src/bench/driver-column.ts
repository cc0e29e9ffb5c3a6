import { z } from 'zod'
import type { Report } from '../suite/report.ts'
import { capabilitiesSchema, statusSchema } from './saved-reports.ts'

/** What the matrix keeps of a report: nothing that differs from run to run. */
export const driverColumnSchema = z.object({
  adapter: z.string(),
  capabilities: capabilitiesSchema,
  results: z.array(z.object({ id: z.string(), status: statusSchema, reason: z.string().exactOptional() })),
})

export type DriverColumn = z.output<typeof driverColumnSchema>

export function toColumn({ adapter, capabilities, results }: Report): DriverColumn {
  return {
    adapter,
    capabilities: { ...capabilities },
    results: results
      .filter(({ number }) => number > 0)
      .map(({ id, status, reason }) => ({
        id,
        status,
        // What failed says what it saw, which differs from run to run.
        ...(status === 'skipped' && reason !== undefined && { reason }),
      })),
  }
}
