/** Whether a version as the broker tells it, such as `4.0.5`, is that one or later. An unknown one is taken for the newest. */
export function isAtLeast(version: unknown, major: number, minor: number): boolean {
  const parts = typeof version === 'string' ? /^(\d+)\.(\d+)/.exec(version) : null
  if (parts === null) return true
  const [theirMajor, theirMinor] = [Number(parts[1]), Number(parts[2])]
  return theirMajor > major || (theirMajor === major && theirMinor >= minor)
}
