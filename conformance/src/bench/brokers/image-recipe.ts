import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { announce } from './announce.ts'
import { debianMirror } from './debian-mirror.ts'
import { ensureProgram } from './debian-packages.ts'
import { docker, imageExists } from './docker.ts'
import { withFileLock } from './file-lock.ts'
import { runCommand } from './run-command.ts'

/** Where the recipes are: `conformance/images`, seen from the sources as from the compiled files. */
const IMAGES = join(import.meta.dirname, '../../../images')
/** Programs that a recipe's `prepare.sh` runs on the host, and the packages that carry them. */
const HOST_PROGRAMS: Readonly<Record<string, readonly { program: string; packageName: string }[]>> = {
  elasticmq: [{ program: 'mvn', packageName: 'maven' }],
  kafka: [{ program: 'mvn', packageName: 'maven' }],
  otelcol: [{ program: 'go', packageName: 'golang' }],
  sqs: [{ program: 'npm', packageName: 'npm' }],
}

/**
 * Builds the image of a recipe unless one of exactly this recipe exists, and gives its tag. The tag carries
 * a hash of the recipe and of the base's, so a changed recipe is built anew and an unchanged one never twice.
 */
export async function buildFromRecipe(recipe: string): Promise<string> {
  const tag = recipeTag(recipe)
  return withFileLock(`image-${recipe}`, async () => {
    if (await imageExists(tag)) return tag
    const base = await buildBase()
    const startedAt = Date.now()
    await buildOn(base, recipe, tag)
    announce(`built ${tag} in ${seconds(startedAt)}`)
    return tag
  })
}

/** The tag of a recipe's image: names the files it was made of. */
export function recipeTag(recipe: string): string {
  const hash = createHash('sha256')
  for (const directory of new Set(['base', recipe])) {
    for (const path of filesIn(join(IMAGES, directory))) {
      hash
        .update(`${relative(IMAGES, path)}\0`)
        .update(readFileSync(path))
        .update('\0')
    }
  }
  return `waybill-built/${recipe}:${hash.digest('hex').slice(0, 12)}`
}

async function buildBase(): Promise<string> {
  const tag = recipeTag('base')
  return withFileLock('image-base', async () => {
    if (await imageExists(tag)) return tag
    await ensureProgram('debootstrap', 'debootstrap', 'building the base image')
    const startedAt = Date.now()
    await runCommand('sh', [join(IMAGES, 'base/bootstrap.sh'), await debianMirror(), tag])
    announce(`built ${tag} in ${seconds(startedAt)}`)
    return tag
  })
}

async function buildOn(base: string, recipe: string, tag: string): Promise<void> {
  const context = mkdtempSync(join(tmpdir(), `waybill-image-${recipe}-`))
  try {
    await cp(join(IMAGES, recipe), context, { recursive: true })
    if (existsSync(join(context, 'prepare.sh'))) {
      for (const { program, packageName } of HOST_PROGRAMS[recipe] ?? []) {
        await ensureProgram(program, packageName, `building the ${recipe} image`)
      }
      await runCommand('sh', ['prepare.sh'], { cwd: context })
    }
    // The host's network: a mirror or a proxy on the loopback address is reached from the build too.
    await docker(['build', '--network', 'host', '--build-arg', `BASE=${base}`, '--tag', tag, context])
  } finally {
    rmSync(context, { recursive: true, force: true })
  }
}

function filesIn(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())
    .sort()
}

function seconds(since: number): string {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`
}
