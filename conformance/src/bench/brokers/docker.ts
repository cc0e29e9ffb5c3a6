import { spawnSync } from 'node:child_process'
import { type RunOptions, runCommand } from './run-command.ts'

/**
 * Runs the docker command line against the engine that {@link ensureEngine} settled on (it sets
 * `DOCKER_HOST`), and gives its output. The classic builder is asked for: it needs no plugin, and the one
 * in Debian's package is what the recipes were tried with.
 */
export function docker(args: readonly string[], options: RunOptions = {}): Promise<string> {
  return runCommand('docker', args, {
    ...options,
    environment: { DOCKER_BUILDKIT: '0', ...options.environment },
  })
}

/** For the last moments of a process, when nothing asynchronous runs any more. Problems are ignored. */
export function removeContainersNow(names: readonly string[]): void {
  if (names.length > 0)
    spawnSync('docker', ['rm', '-f', '-v', ...names], { stdio: 'ignore', timeout: 20_000 })
}

export async function imageExists(image: string): Promise<boolean> {
  return docker(['image', 'inspect', '--format', '{{.Id}}', image]).then(
    () => true,
    () => false,
  )
}
