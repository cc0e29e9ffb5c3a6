import { inChunks } from '@waybill/core/driver-kit'
import type { JobRow } from '@waybill/jobs'
import type { SharedConnection } from '../connection/shared-connection.ts'
import { asArray, asUtf8 } from '../wire/reply.ts'
import { Commands } from './commands.ts'
import type { JobKeys } from './job-keys.ts'
import { fromRevised, type StoredJob, storedJob, textField, textFields } from './stored-job.ts'

/** How many jobs one call of a script reads: it holds up everybody else while it runs. */
const mostAtOnce = 500

/** Reads jobs, each as it is at one moment. */
export class JobReader {
  readonly keys: JobKeys
  readonly #connection: SharedConnection

  constructor(connection: SharedConnection, keys: JobKeys) {
    this.#connection = connection
    this.keys = keys
  }

  /** The replies of commands, all of one moment. */
  async read(commands: Commands): Promise<readonly unknown[]> {
    const { values } = await this.#connection.run('jobRead', {
      keys: { all: commands.keys },
      args: { commands: commands.list },
      values: commands.values,
    })
    return values
  }

  /** Those that there are, in the order of the ids. */
  async jobs(ids: readonly string[]): Promise<readonly StoredJob[]> {
    return (
      await Promise.all(inChunks(ids, { maxItems: mostAtOnce }).map((slice) => this.#slice(slice)))
    ).flat()
  }

  async rows(ids: readonly string[]): Promise<readonly JobRow[]> {
    return (await this.jobs(ids)).map(({ row }) => row)
  }

  /** Values of a hash, by their fields. */
  async values(key: string, fields: readonly string[]): Promise<ReadonlyMap<string, string>> {
    if (fields.length === 0) return new Map()
    const replies = await Promise.all(
      inChunks(fields, { maxItems: mostAtOnce }).map((slice) =>
        this.read(new Commands().add('HMGET', key, ...slice)),
      ),
    )
    const texts = replies.flatMap(([reply]) => textsIn(reply))
    return new Map(
      fields.flatMap((field, index) => (texts[index] === undefined ? [] : [[field, texts[index]]])),
    )
  }

  /** The members that ranges have, one after the other. */
  async members(ranges: Commands): Promise<readonly string[]> {
    return (await this.read(ranges)).flatMap(asArray).map(asUtf8)
  }

  async #slice(ids: readonly string[]): Promise<readonly StoredJob[]> {
    const { heads, texts, leases } = this.keys
    const fields = ids.flatMap((id) => textFields.map((field) => textField(field, id)))
    const commands = new Commands().add('HMGET', heads, ...ids).add('HMGET', texts, ...fields)
    const [headReply, textReply, leaseReply] = await this.read(commands.add('ZMSCORE', leases, ...ids))
    const [allTexts, allLeases] = [textsIn(textReply), textsIn(leaseReply)]
    return textsIn(headReply).flatMap((head, index) => {
      if (head === undefined) return []
      const first = index * textFields.length
      return storedJob(fromRevised(head), allTexts.slice(first, first + textFields.length), allLeases[index])
    })
  }
}

function textsIn(reply: unknown): readonly (string | undefined)[] {
  return asArray(reply).map((each) => (each === null || each === undefined ? undefined : asUtf8(each)))
}
