import { existsSync } from 'node:fs'
import { announce } from './announce.ts'
import { runCommand } from './run-command.ts'

/** Whether this process may install distribution packages: root, and apt is there (Debian, Ubuntu). */
export function canInstallPackages(): boolean {
  return process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')
}

let updated: Promise<unknown> | undefined

/** Installs distribution packages, saying so first. The caller has asked {@link canInstallPackages}. */
export async function installPackages(names: readonly string[], reason: string): Promise<void> {
  announce(`${reason}: installing ${names.join(', ')} with apt-get`)
  updated ??= runCommand('apt-get', ['update', '-qq'])
  await updated
  await runCommand('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], {
    environment: { DEBIAN_FRONTEND: 'noninteractive' },
  })
}

/** Makes sure that a program can be run, installing the package that carries it where that is possible. */
export async function ensureProgram(program: string, packageName: string, reason: string): Promise<void> {
  if (await isProgramThere(program)) return
  if (!canInstallPackages()) {
    throw new Error(
      `${reason}: "${program}" is missing; install ${packageName}, or run as root on Debian or Ubuntu`,
    )
  }
  await installPackages([packageName], reason)
}

export async function isProgramThere(program: string): Promise<boolean> {
  return runCommand('sh', ['-c', 'command -v "$0"', program]).then(
    () => true,
    () => false,
  )
}
