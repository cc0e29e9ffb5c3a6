const numbers = new Intl.NumberFormat('en')

export function formatCount(value: number): string {
  return numbers.format(value)
}

/** An amount in the smallest unit of its currency, for people. */
export function formatMoney(amount: number, currency: string): string {
  const format = new Intl.NumberFormat('en', { style: 'currency', currency })
  const { maximumFractionDigits = 2 } = format.resolvedOptions()
  return format.format(amount / 10 ** maximumFractionDigits)
}

/** Rows in columns: so many to the left, the figures after them to the right. */
export function formatTable(rows: readonly (readonly string[])[], left = 1): string {
  const widths: number[] = []
  for (const row of rows)
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length)
  const align = (cell: string, column: number) =>
    column < left ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)
  return rows.map((row) => `  ${row.map(align).join('  ').trimEnd()}`).join('\n')
}
