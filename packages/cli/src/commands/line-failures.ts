import { countOf } from '../output/format.ts'
import type { Output } from '../output/output.ts'

/** Why a line of input was not taken. */
export interface LineFailure {
  readonly line: number
  readonly error: string
  readonly code: string
  /** Of a message: `not-sent` or `unknown`. */
  readonly fate?: string
}

// A broker that fails for one line fails for the next ones, too.
const shown = 20

/** Tells which lines of the input failed and why: as JSON all of them, to people the first ones. */
export class LineFailures {
  readonly #output: Output
  #count = 0

  constructor(output: Output) {
    this.#output = output
  }

  get count(): number {
    return this.#count
  }

  async tell(failure: LineFailure): Promise<void> {
    this.#count += 1
    if (this.#output.isJson) await this.#output.json(failure)
    else if (this.#count <= shown) this.#output.note(`line ${failure.line}: ${failure.error}`)
  }

  /** For the sentence that ends the command; empty when there are none. */
  get summary(): string {
    if (this.#count === 0) return ''
    const hidden = this.#count > shown && !this.#output.isJson ? `, of which ${shown} are shown` : ''
    return `; ${countOf(this.#count, 'line')} failed${hidden}`
  }
}
