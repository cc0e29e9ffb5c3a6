import type { Database } from '@waybill/database'
import type { Effects, Service } from '@waybill/example-workers'
import { choreography } from './choreography.ts'
import { orchestration } from './orchestration.ts'

export type Style = 'orchestration' | 'choreography'

export function isStyle(text: string | undefined): text is Style {
  return text === 'orchestration' || text === 'choreography'
}

export function servicesOf(style: Style): (effects: Effects) => readonly Service[] {
  return style === 'orchestration' ? orchestration : choreography
}

/** How many orders have ended in each way. */
export async function endings(
  style: Style,
  database: Database,
): Promise<{ readonly completed: number; readonly cancelled: number }> {
  const sql =
    style === 'orchestration'
      ? `SELECT status, count(*) AS count FROM ${database.dialect.table('sagas')} GROUP BY status`
      : 'SELECT status, count(*) AS count FROM order_view GROUP BY status'
  const rows = await database.query<{ readonly status: string; readonly count: number }>(sql)
  const count = (...names: readonly string[]) =>
    rows.filter(({ status }) => names.includes(status)).reduce((sum, row) => sum + Number(row.count), 0)
  return { completed: count('completed'), cancelled: count('compensated', 'cancelled') }
}
