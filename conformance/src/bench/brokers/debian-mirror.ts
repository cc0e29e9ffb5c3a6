import { canInstallPackages } from './debian-packages.ts'
import { runCommand } from './run-command.ts'

/**
 * The Debian mirror that this machine's own apt uses, for the image recipes.
 * `WAYBILL_DEBIAN_MIRROR` overrides it (and is needed on Ubuntu, whose mirrors carry no Debian).
 */
export async function debianMirror(): Promise<string> {
  const override = process.env.WAYBILL_DEBIAN_MIRROR
  if (override !== undefined && override !== '') return override
  const mirror = mirrorFrom(await indexTargets())
  if (mirror !== undefined) return mirror
  if (canInstallPackages()) {
    // Before the first update apt does not know whose index a source carries.
    await runCommand('apt-get', ['update', '-qq'])
    const afterUpdate = mirrorFrom(await indexTargets())
    if (afterUpdate !== undefined) return afterUpdate
  }
  throw new Error(
    'The broker images cannot be pulled, and building them needs a Debian mirror, which the apt sources of ' +
      'this machine do not name. Set WAYBILL_DEBIAN_MIRROR to one, or WAYBILL_…_IMAGE to images that can be had.',
  )
}

/** Picks the mirror out of `apt-get indextargets` lines of the form `URI|label|component`. */
export function mirrorFrom(indexTargetLines: string): string | undefined {
  for (const line of indexTargetLines.split('\n')) {
    const [uri, label, component] = line.trim().split('|')
    if (uri !== undefined && uri !== '' && label === 'Debian' && component === 'main') return uri
  }
  return undefined
}

function indexTargets(): Promise<string> {
  const format = '$(REPO_URI)|$(LABEL)|$(COMPONENT)'
  return runCommand('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']).catch(() => '')
}
