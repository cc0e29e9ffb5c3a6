import type { Redactor } from '../failures/redact.ts'
import { legible } from './legible.ts'
import { type Column, renderTable } from './table.ts'

/** The streams of a command: those of the process, or a test's. */
export interface Streams {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean }
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number }
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number }
}

/** Rows of a list whose end is not known are shown as tables of so many. */
const rowsAtOnce = 200

/** What a command prints: results on the standard output, everything else on the standard error. */
export class Output {
  /** Results are JSON, one value a line; otherwise tables and sentences for people. */
  readonly isJson: boolean
  readonly #streams: Streams
  readonly #redactor: Redactor

  constructor(streams: Streams, redactor: Redactor, json: boolean | undefined) {
    this.#streams = streams
    this.#redactor = redactor
    this.isJson = json ?? streams.stdout.isTTY !== true
  }

  /** A list: a table for people, one JSON object a row otherwise. Resolves with how many rows there were. */
  async list<Row>(
    columns: readonly Column<Row>[],
    rows: AsyncIterable<Row> | Iterable<Row>,
    toJson: (row: Row) => object,
  ): Promise<number> {
    let count = 0
    let page: Row[] = []
    for await (const row of rows) {
      count += 1
      if (this.isJson) await this.json(toJson(row))
      else if (page.push(row) === rowsAtOnce) {
        await this.line(renderTable(columns, page))
        page = []
      }
    }
    if (page.length > 0) await this.line(renderTable(columns, page))
    return count
  }

  /** One result: a JSON object, or what people read instead. */
  async result(value: object, text: string): Promise<void> {
    if (this.isJson) await this.json(value)
    else await this.line(text)
  }

  async json(value: object): Promise<void> {
    await this.line(JSON.stringify(value))
  }

  /** A line of results. */
  async line(text: string): Promise<void> {
    await write(this.#streams.stdout, `${text}\n`)
  }

  /** Something about the work that is no result: a line, in which there may be text from messages. */
  note(text: string): void {
    this.#streams.stderr.write(`${legible(this.#redactor.redact(text))}\n`)
  }
}

/** Waits while the reader is slower: what is printed may be more than fits into memory. */
function write(stream: NodeJS.WritableStream, text: string): Promise<void> | undefined {
  if (stream.write(text)) return undefined
  return new Promise((resolve) => {
    stream.once('drain', resolve)
  })
}
