/** Types under two names: Waybill's, and those of another system. */
export class TypeNames {
  readonly #theirs: ReadonlyMap<string, string>
  readonly #ours: ReadonlyMap<string, string>

  /** `types` has others' names by ours. */
  constructor(types: Readonly<Record<string, string>>) {
    this.#theirs = new Map(Object.entries(types))
    this.#ours = new Map(Object.entries(types).map(([ours, theirs]) => [theirs, ours]))
  }

  /** The other system's name; ours, where it has no other. */
  theirs(type: string): string {
    return this.#theirs.get(type) ?? type
  }

  ours(name: string): string {
    return this.#ours.get(name) ?? name
  }

  knows(name: string): boolean {
    return this.#ours.has(name)
  }
}
