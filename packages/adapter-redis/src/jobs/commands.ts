import type { Call } from '../wire/call.ts'

interface Command {
  readonly command: string
  /** Its place among the keys, from 1, as Lua counts. */
  readonly key: number
  readonly values: (string | number)[]
}

/** Commands that a script runs in one step, each on one key. */
export class Commands {
  readonly #keys = new Map<string, number>()
  readonly #commands: Command[] = []
  readonly #merged = new Map<string, Command>()

  get size(): number {
    return this.#commands.length
  }

  add(command: string, key: string, ...values: readonly (string | number)[]): this {
    this.#commands.push({ command, key: this.place(key), values: [...values] })
    return this
  }

  /** More parameters for the command of that name on that key, if there is one. */
  merge(command: string, key: string, ...values: readonly (string | number)[]): void {
    const same = `${command} ${key}`
    const known = this.#merged.get(same)
    if (known !== undefined) known.values.push(...values)
    else {
      this.add(command, key, ...values)
      this.#merged.set(same, this.#commands.at(-1) ?? { command, key: 0, values: [] })
    }
  }

  /** Of a key in `keys`. */
  place(key: string): number {
    const place = this.#keys.get(key) ?? this.#keys.size + 1
    this.#keys.set(key, place)
    return place
  }

  get keys(): readonly string[] {
    return [...this.#keys.keys()]
  }

  get list(): readonly { readonly command: string; readonly key: number; readonly count: number }[] {
    return this.#commands.map(({ command, key, values }) => ({ command, key, count: values.length }))
  }

  get values(): NonNullable<Call['values']> {
    return this.#commands.flatMap(({ values }) => values)
  }
}
