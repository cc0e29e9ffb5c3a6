import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { Report } from '../suite/report.ts'

const folder = fileURLToPath(new URL('../../.cache/results/', import.meta.url))

// JSON has null for infinity.
const unlimited = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.POSITIVE_INFINITY)

export const capabilitiesSchema = z.object({
  ordered: z.boolean(),
  delay: z.boolean(),
  priority: z.boolean(),
  broadcast: z.boolean(),
  replay: z.boolean(),
  seek: z.boolean(),
  lease: z.boolean(),
  countsCrashes: z.boolean(),
  durableRetry: z.boolean(),
  release: z.boolean(),
  yieldsKeys: z.boolean(),
  deadLetters: z.boolean(),
  stats: z.boolean(),
  changesFilters: z.boolean(),
  keepsDeliveries: z.boolean(),
  maxDelayMs: unlimited,
  maxLeaseMs: unlimited,
  maxPrefetch: unlimited,
  delayGranularityMs: z.number(),
  redeliveryMs: z.number(),
  maxMessageBytes: z.number(),
  publishBatchSize: z.number(),
  publishParallelism: z.number(),
})

export const statusSchema = z.enum(['passed', 'failed', 'skipped'])

const reportSchema = z.object({
  adapter: z.string(),
  capabilities: capabilitiesSchema,
  results: z.array(
    z.object({
      number: z.number(),
      id: z.string(),
      section: z.string(),
      title: z.string(),
      status: statusSchema,
      reason: z.string().exactOptional(),
      durationMs: z.number(),
    }),
  ),
})

/** Keeps the report of a whole run for the capability matrix. */
export async function saveReport(report: Report): Promise<void> {
  await mkdir(folder, { recursive: true })
  await writeFile(`${folder}${report.adapter}.json`, `${JSON.stringify(report, undefined, 2)}\n`)
}

/** The last whole run of each driver. */
export async function savedReports(): Promise<Report[]> {
  const names = await readdir(folder).catch(() => [])
  const reports: Report[] = []
  for (const name of names.filter((each) => each.endsWith('.json')).sort()) {
    reports.push(reportSchema.parse(JSON.parse(await readFile(`${folder}${name}`, 'utf8'))))
  }
  return reports
}
