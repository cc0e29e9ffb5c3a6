/**
 * What a transaction has read of a hash of revised values, and will write: it sees what it has written, and is told whether anything
 * of what it read has changed since.
 */
export class SeenValues<Value> {
  /** Undefined: there was none. */
  readonly #read = new Map<string, { readonly revision: string; readonly value: Value } | undefined>()
  readonly #written = new Map<string, Value | undefined>()

  has(id: string): boolean {
    return this.#read.has(id)
  }

  /** Takes note of what was read, or of what is taken for absent. */
  note(id: string, read: { readonly revision: string; readonly value: Value } | undefined): void {
    this.#read.set(id, read)
  }

  get(id: string): Value | undefined {
    return this.#written.has(id) ? this.#written.get(id) : this.#read.get(id)?.value
  }

  /** As it was read. */
  before(id: string): Value | undefined {
    return this.#read.get(id)?.value
  }

  /** All that was there when it was read. */
  get reads(): readonly Value[] {
    return [...this.#read.values()].flatMap((read) => read?.value ?? [])
  }

  /** Undefined removes it. */
  put(id: string, value: Value | undefined): void {
    this.#written.set(id, value)
  }

  /** What is to be written, but for what is as it was read. */
  get changes(): readonly (readonly [id: string, value: Value | undefined])[] {
    return [...this.#written].filter(([id, value]) => value !== this.#read.get(id)?.value)
  }

  /** Pairs of fields and the revisions that they must still have. */
  get checks(): readonly (readonly [id: string, revision: string])[] {
    return [...this.#read].map(([id, read]) => [id, read?.revision ?? ''])
  }
}
