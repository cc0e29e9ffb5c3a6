/** The URL of a module beside `base`: TypeScript in the sources, JavaScript when built. `name` has no extension. */
export function siblingModule(base: string, name: string): string {
  return new URL(`${name}.${base.endsWith('.ts') ? 'ts' : 'js'}`, base).href
}
