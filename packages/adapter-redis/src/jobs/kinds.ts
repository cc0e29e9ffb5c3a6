import type { JobFilter } from '@waybill/jobs'
import { asArray, asNumber, asUtf8 } from '../wire/reply.ts'
import { Commands } from './commands.ts'
import { type Kind, partsOf } from './job-keys.ts'
import type { JobReader } from './job-reader.ts'

/** Which kinds of jobs there are, so that a look at all of them can be one call. */
export class Kinds {
  readonly #reader: JobReader
  #known: readonly Kind[] = []

  constructor(reader: JobReader) {
    this.#reader = reader
  }

  /** The replies of commands on kinds that fit, all of one moment, of which no kind is missing. */
  async read<Each>(
    { name, queue }: Pick<JobFilter, 'name' | 'queue'>,
    ask: (commands: Commands, kinds: readonly Kind[]) => Each,
  ): Promise<{ readonly asked: Each; readonly replies: readonly unknown[] }> {
    for (;;) {
      const known = this.#known
      const kinds = known.filter((kind) => {
        const parts = partsOf(kind)
        return (name === undefined || parts.name === name) && (queue === undefined || parts.queue === queue)
      })
      // All of them are asked for: a store that was emptied may have got as many others since.
      const commands = new Commands().add('SCARD', this.#reader.keys.kinds)
      commands.add('SMISMEMBER', this.#reader.keys.kinds, ...(known.length === 0 ? [''] : known))
      const asked = ask(commands, kinds)
      const [count, areMembers, ...replies] = await this.#reader.read(commands)
      const still = asArray(areMembers).filter((each) => asNumber(each) === 1)
      if (asNumber(count) === known.length && still.length === known.length) return { asked, replies }
      const [members] = await this.#reader.read(new Commands().add('SMEMBERS', this.#reader.keys.kinds))
      this.#known = asArray(members).map(asUtf8)
    }
  }
}
