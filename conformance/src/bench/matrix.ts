import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { caseId, type Section } from '../case/case.ts'
import { sections } from '../cases/index.ts'
import { type DriverColumn, driverColumnSchema, toColumn } from './driver-column.ts'
import { savedReports } from './saved-reports.ts'

const documentPath = fileURLToPath(new URL('../../../docs/capability-matrix.md', import.meta.url))
const dataPath = fileURLToPath(new URL('../../../docs/capability-matrix.json', import.meta.url))

const dataSchema = z.object({ drivers: z.array(driverColumnSchema) })

/** The order of the columns; drivers that are not listed follow by name. */
const known = ['memory', 'rabbitmq', 'kafka', 'sqs', 'redis']

/**
 * Writes the capability matrix from the last whole run of each driver. Drivers that were not run here keep the column
 * they have. With `check` nothing is written; false when the files are not what they should be.
 */
export async function runMatrix({ check }: { readonly check: boolean }): Promise<boolean> {
  const current = await readData()
  const fresh = (await savedReports()).map(toColumn)
  const drivers = mergeColumns(current, fresh)
  const wanted = new Map([
    [dataPath, `${JSON.stringify({ drivers }, undefined, 2)}\n`],
    [documentPath, toMatrix(drivers, sections)],
  ])
  let isCurrent = true
  for (const [path, text] of wanted) {
    if ((await readFile(path, 'utf8').catch(() => '')) === text) continue
    isCurrent = false
    if (check) console.log(`${path} is not current; run: npm run conformance -- --matrix`)
    else await writeFile(path, text)
  }
  console.log(`matrix: ${drivers.map(({ adapter }) => adapter).join(', ')}`)
  return isCurrent || !check
}

async function readData(): Promise<DriverColumn[]> {
  const text = await readFile(dataPath, 'utf8').catch(() => undefined)
  return text === undefined ? [] : dataSchema.parse(JSON.parse(text)).drivers
}

export function mergeColumns(
  current: readonly DriverColumn[],
  fresh: readonly DriverColumn[],
): DriverColumn[] {
  const columns = new Map([...current, ...fresh].map((column) => [column.adapter, column]))
  const rank = (name: string) => (known.includes(name) ? known.indexOf(name) : known.length)
  return [...columns.values()].sort(
    (one, other) => rank(one.adapter) - rank(other.adapter) || one.adapter.localeCompare(other.adapter),
  )
}

/** The page. It says nothing of when and how long, so that it changes only when a result does. */
export function toMatrix(drivers: readonly DriverColumn[], contract: readonly Section[]): string {
  const footnotes = new Footnotes()
  const names = drivers.map(({ adapter }) => adapter)
  const cases = contract.flatMap(({ cases: ofSection }) => ofSection)
  return `# Capability matrix

Written by \`npm run conformance -- --matrix\` from runs of the [conformance suite](../conformance/README.md) on real
brokers; never edit it by hand. What a driver does not declare is refused with an error when it is asked for, and the
suite checks that too.

## What each driver can do

${table('capability', names, capabilityRows(drivers))}

## The contract

Cases passed, of those the driver and its test bench can show.

${table('section', names, [
  ...contract.map(
    ({ title, cases: ofSection }): Row => [
      title,
      drivers.map((driver) => share(driver, ofSection.map(caseId))),
    ],
  ),
  ['**all**', drivers.map((driver) => `**${share(driver, cases.map(caseId))}**`)],
])}

## Case by case

${table(
  'case',
  names,
  cases.map(
    (each): Row => [
      `${caseId(each)} ${each.title}`,
      drivers.map((driver) => mark(driver, caseId(each), footnotes)),
    ],
  ),
)}

${footnotes.list()}
`
}

type Row = readonly [label: string, cells: readonly string[]]

function table(corner: string, names: readonly string[], rows: readonly Row[]): string {
  const line = (label: string, cells: readonly string[]) => `| ${[label, ...cells].join(' | ')} |`
  return [
    line(corner, names),
    line(
      '---',
      names.map(() => '---'),
    ),
    ...rows.map(([label, cells]) => line(label, cells)),
  ].join('\n')
}

function capabilityRows(drivers: readonly DriverColumn[]): Row[] {
  const names = Object.keys(driverColumnSchema.shape.capabilities.shape)
  return names.map(
    (name): Row => [
      name,
      drivers.map(({ capabilities }) => {
        const value: unknown = Object.entries(capabilities).find(([each]) => each === name)?.[1]
        return typeof value === 'boolean' ? (value ? 'yes' : '–') : String(value)
      }),
    ],
  )
}

function share({ results }: DriverColumn, ids: readonly string[]): string {
  const found = results.filter(({ id }) => ids.includes(id))
  const count = (status: string) => found.filter((result) => result.status === status).length
  const failed = count('failed') === 0 ? '' : `, ${count('failed')} failed`
  return `${count('passed')} of ${count('passed') + count('failed')}${failed}`
}

function mark({ results }: DriverColumn, id: string, footnotes: Footnotes): string {
  const result = results.find((each) => each.id === id)
  if (result === undefined) return '?'
  switch (result.status) {
    case 'passed':
      return '✓'
    case 'failed':
      return '✗'
    case 'skipped':
      return `– ${footnotes.number(result.reason ?? '')}`
  }
}

/** Why cases were skipped, each reason once. */
class Footnotes {
  readonly #reasons: string[] = []

  number(reason: string): string {
    if (!this.#reasons.includes(reason)) this.#reasons.push(reason)
    return `(${this.#reasons.indexOf(reason) + 1})`
  }

  list(): string {
    return this.#reasons.map((reason, index) => `(${index + 1}) Not shown here: ${reason}.`).join('  \n')
  }
}
