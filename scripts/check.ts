/** Everything that needs no broker: format, lint, types, import rules, package checks, unit tests. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { command } from './command.ts'
import { publishedFolders } from './published-packages.ts'

export interface Outcome {
  readonly passed: number
  readonly failed: number
  /** What failed, and how: shown again at the end of a run, where it is looked for. */
  readonly failures: readonly string[]
}

const reportSchema = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      message: z.string().default(''),
      assertionResults: z.array(
        z.object({
          fullName: z.string(),
          status: z.string(),
          failureMessages: z.array(z.string()).default([]),
        }),
      ),
    }),
  ),
})

/** Each runs on its own; those of one group run together. Packages are checked as built, so after the build. */
const groups: readonly (readonly {
  readonly name: string
  readonly command: readonly [string, ...string[]]
}[])[] = [
  [
    { name: 'format and lint', command: ['biome', 'check', '.'] },
    { name: 'types of the packages', command: ['tsc', '-b'] },
    { name: 'bundles of the packages', command: ['rolldown', '--config', 'rolldown.config.ts'] },
    { name: 'import rules', command: ['node', 'scripts/import-rules.ts'] },
    { name: 'Lua of the Redis adapter', command: ['node', 'scripts/lua.ts', '--check'] },
  ],
  [
    { name: 'types of the tests and scripts', command: ['tsc', '-p', 'tsconfig.test.json'] },
    { name: 'what the packages hold', command: ['node', 'scripts/packed-packages.ts'] },
    { name: 'applications in bundles', command: ['node', 'scripts/bundles.ts'] },
    ...publishedFolders.flatMap((folder) => [
      { name: `publint ${folder}`, command: ['publint', '--strict', folder] as const },
      {
        name: `are-the-types-wrong ${folder}`,
        command: ['attw', '--pack', folder, '--profile', 'esm-only'] as const,
      },
    ]),
  ],
]

async function unitTests(): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-check-'))
  const file = join(folder, 'unit.json')
  const { exitCode, output, seconds } = await command('vitest', [
    'run',
    '--reporter=json',
    `--outputFile=${file}`,
  ])
  try {
    const report: unknown = JSON.parse(await readFile(file, 'utf8'))
    const passed = numberAt(report, 'numPassedTests')
    // Counts what failed to load, too, which is no failed test.
    const failed = Math.max(numberAt(report, 'numFailedTests'), exitCode === 0 ? 0 : 1)
    console.log(
      `${failed === 0 ? 'ok    ' : 'FAILED'} unit tests: ${passed} passed, ${failed} failed (${seconds.toFixed(1)} s)`,
    )
    const told = failuresIn(report)
    // An error that belongs to no test stands in the output only.
    const failures = failed > 0 && told.length === 0 ? [output] : told
    for (const failure of failures) console.log(failure)
    for (const name of skippedIn(report)) console.log(`  skipped ${name}`)
    return { passed, failed, failures }
  } catch {
    console.log(`FAILED unit tests\n${output}`)
    return { passed: 0, failed: 1, failures: [output] }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** What failed, as it failed: run again it might pass, and nobody would know. */
function failuresIn(report: unknown): readonly string[] {
  const { testResults } = reportSchema.parse(report)
  return testResults.flatMap(({ name, message, assertionResults }) => [
    ...(message === '' ? [] : [`${name}\n${message}`]),
    ...assertionResults
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, failureMessages }) => `${name}: ${fullName}\n${failureMessages.join('\n')}`),
  ])
}

/** Their names say what they need. */
function skippedIn(report: unknown): readonly string[] {
  const { testResults } = reportSchema.parse(report)
  return testResults.flatMap(({ assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'skipped' || status === 'pending')
      .map(({ fullName }) => fullName),
  )
}

function numberAt(report: unknown, name: string): number {
  const value: unknown = typeof report === 'object' && report !== null ? Reflect.get(report, name) : undefined
  return typeof value === 'number' ? value : 0
}

// Packing would build all packages anew, each time, beneath those who look at them.
const packAsBuilt = { npm_config_ignore_scripts: 'true' }

/** Runs every check; prints a line each, and the output of those that fail. */
export async function check(): Promise<Outcome> {
  let passed = 0
  const failures: string[] = []
  for (const group of groups) {
    await Promise.all(
      group.map(async ({ name, command: [program, ...args] }) => {
        const { exitCode, output, seconds } = await command(program, args, false, packAsBuilt)
        console.log(`${exitCode === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds.toFixed(1)} s)`)
        if (exitCode === 0) {
          passed += 1
        } else {
          console.log(output)
          failures.push(`${name}\n${output}`)
        }
      }),
    )
  }
  const unit = await unitTests()
  return {
    passed: passed + unit.passed,
    failed: failures.length + unit.failed,
    failures: [...failures, ...unit.failures],
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { passed, failed } = await check()
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
}
