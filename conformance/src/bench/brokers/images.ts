import { announce } from './announce.ts'
import { buildFromRecipe } from './image-recipe.ts'
import { pullProblem } from './pull-image.ts'

/** Whose conventions an image follows: its own project's, or those of `conformance/images`. */
export type ImageKind = 'official' | 'built'

export interface ImageSource {
  /** The folder in `conformance/images` that builds an equivalent. */
  readonly recipe: string
  /** The project's public image. */
  readonly officialImage: string
  /** The environment variable that overrides it. */
  readonly imageVariable: string
}

export interface ResolvedImage {
  readonly image: string
  readonly kind: ImageKind
}

/**
 * testcontainers' reaper, which removes containers after a crash of the process that started them.
 * The version is the one testcontainers 12 asks for.
 */
const REAPER_IMAGE = 'testcontainers/ryuk:0.14.0'

/**
 * The image to start a broker from: the one the environment names, else the official one, else (where that
 * cannot be pulled) one built from the recipe, which is said aloud.
 */
export async function resolveImage(source: ImageSource): Promise<ResolvedImage> {
  const override = process.env[source.imageVariable]
  if (override !== undefined && override !== '') {
    const problem = await pullProblem(override)
    if (problem !== undefined)
      throw new Error(`${source.imageVariable}=${override} cannot be pulled: ${problem}`)
    return { image: override, kind: override.startsWith('waybill-built/') ? 'built' : 'official' }
  }
  const problem = await pullProblem(source.officialImage)
  if (problem === undefined) return { image: source.officialImage, kind: 'official' }
  announceOnce(
    `image ${source.officialImage} cannot be pulled (${problem}); ` +
      `using an equivalent built from conformance/images/${source.recipe}`,
  )
  return { image: await buildFromRecipe(source.recipe), kind: 'built' }
}

const announced = new Set<string>()

function announceOnce(message: string): void {
  if (announced.has(message)) return
  announced.add(message)
  announce(message)
}

/**
 * Turns testcontainers' reaper off where its image cannot be had. Left-overs of crashed runs are then
 * removed at the next start, see {@link removeLeftovers}.
 */
export async function settleReaper(): Promise<void> {
  if (process.env.TESTCONTAINERS_RYUK_DISABLED !== undefined) return
  process.env.RYUK_CONTAINER_IMAGE ??= REAPER_IMAGE
  if ((await pullProblem(process.env.RYUK_CONTAINER_IMAGE)) !== undefined) {
    process.env.TESTCONTAINERS_RYUK_DISABLED = 'true'
  }
}
