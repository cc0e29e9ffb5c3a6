/**
 * Looks into what would be published of each package, as built: the licence and the bundles are in it, tests and our own
 * bench are not, everything it imports is declared, and its commands run. Exits non-zero with a line a problem.
 */
import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { command } from './command.ts'
import { publishedFolders } from './published-packages.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const needed = ['LICENSE', 'README.md', 'package.json', 'dist/index.js', 'dist/index.d.ts']
const unwanted = /\.(test|fixture)\.|(^|\/)bench\//

// The name of a package that a statement at the start of a line imports, or `import(`.
const bareImports =
  /(?:^(?:import|export)\b(?:[^'"`;]*?\bfrom)?\s*|\bimport\s*\(\s*)['"]((?:@[\w.-]+\/)?[\w-][\w.-]*)(?:\/[^'"]*)?['"]/gm

interface Manifest {
  readonly name: string
  readonly bin?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

async function filesOf(folder: string): Promise<readonly string[]> {
  const { exitCode, output } = await command('npm', [
    ...['pack', `./${folder}`, '--dry-run', '--json', '--ignore-scripts', '--loglevel=error'],
  ])
  if (exitCode !== 0) throw new Error(`npm pack ${folder} failed: ${output}`)
  const packed: unknown = JSON.parse(output)
  // One entry a package: in a list, or by name since npm 12.
  const entries: readonly unknown[] =
    typeof packed === 'object' && packed !== null ? Object.values(packed) : []
  return entries.flatMap((entry) => {
    const files: unknown = typeof entry === 'object' && entry !== null ? Reflect.get(entry, 'files') : []
    return Array.isArray(files) ? files.map((file) => String(Reflect.get(file, 'path'))) : []
  })
}

/** A command that is not in the package, that no shell can start, or that fails at once. */
async function commandProblems(
  folder: string,
  bin: string,
  files: readonly string[],
): Promise<readonly string[]> {
  const file = bin.replace(/^\.\//, '')
  const path = join(root, folder, file)
  if (!files.includes(file)) return [`${folder} lacks its command ${file}`]
  if (!(await readFile(path, 'utf8')).startsWith('#!/usr/bin/env node\n'))
    return [`${folder}/${file} does not begin with #!/usr/bin/env node`]
  const { exitCode, output } = await command('node', [path, '--help'])
  return exitCode === 0 ? [] : [`${folder}/${file} --help ends with ${exitCode}: ${output.trim()}`]
}

async function problemsOf(folder: string): Promise<readonly string[]> {
  // What `prepack` does when a package is really packed.
  await copyFile(join(root, 'LICENSE'), join(root, folder, 'LICENSE'))
  const manifest: Manifest = JSON.parse(await readFile(join(root, folder, 'package.json'), 'utf8'))
  const declared = new Set([
    ...Object.keys(manifest.dependencies ?? {}),
    ...Object.keys(manifest.peerDependencies ?? {}),
    manifest.name,
  ])
  const files = await filesOf(folder)
  const problems = needed.filter((file) => !files.includes(file)).map((file) => `${folder} lacks ${file}`)
  for (const bin of Object.values(manifest.bin ?? {}))
    problems.push(...(await commandProblems(folder, bin, files)))
  for (const file of files) {
    if (unwanted.test(file)) problems.push(`${folder} would publish ${file}`)
    if (!/^dist\/.*\.(js|d\.ts)$/.test(file)) continue
    const text = (await readFile(join(root, folder, file), 'utf8')).replace(
      /\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm,
      '',
    )
    for (const [, name = ''] of text.matchAll(bareImports)) {
      if (!name.startsWith('node:') && name !== 'node' && !declared.has(name))
        problems.push(`${folder}/${file} imports ${name}, which is not declared`)
    }
  }
  return problems
}

const problems = (await Promise.all(publishedFolders.map(problemsOf))).flat()
for (const problem of new Set(problems)) console.error(problem)
console.log(`${publishedFolders.length} packages, ${problems.length} problems`)
process.exitCode = problems.length === 0 ? 0 : 1
