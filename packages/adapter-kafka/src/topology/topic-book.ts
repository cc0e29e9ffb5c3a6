import { type GroupSpec, matchesPattern, type Outcome, type TopicSpec } from '@waybill/core/driver'
import { firstFailure } from '@waybill/core/driver-kit'
import { z } from 'zod'
import type { Administer } from '../connection/lent-gateway.ts'
import { LogReader } from '../connection/log-reader.ts'
import { bookTopic } from '../wire/names.ts'
import type { ConsumedRecord, ProducedRecord } from '../wire/records.ts'

/** Produces records and reports the outcome of each; see `Publisher.send`. */
export type Send = (topic: string, records: readonly ProducedRecord[]) => Promise<readonly Outcome[]>

/** What tools that have no definition must know about a topic. */
const definitionSchema = z.object({
  ordered: z.boolean(),
  native: z.record(z.string(), z.unknown()).default({}),
})

export type StoredDefinition = z.output<typeof definitionSchema>

/** Between the group and the pattern in a record's key; a group's name has none. */
const joint = '\n'
const definitionKey = joint

/**
 * What is known of a topic for good: its groups, and the types each of them has ever asked for. A compacted topic of one
 * partition beside it, which outlives members, commits and retention, and is read without a consumer group. Its records'
 * keys are GROUP for a group, GROUP, line feed, PATTERN for a wish, and a line feed for the definition.
 */
export class TopicBook {
  readonly #administer: Administer
  readonly #send: Send
  readonly #name: string
  readonly #reader: LogReader
  readonly #patterns = new Map<string, Set<string>>()
  #definition: StoredDefinition | undefined
  #reading: Promise<void> = Promise.resolve()

  constructor(administer: Administer, send: Send, topic: Pick<TopicSpec, 'name'>) {
    this.#administer = administer
    this.#send = send
    this.#name = bookTopic(topic)
    this.#reader = new LogReader(administer, this.#name)
  }

  /** Adds the new wishes to the stored ones. */
  async add(
    { ordered, native }: TopicSpec,
    groups: readonly Pick<GroupSpec, 'name' | 'wishes'>[],
  ): Promise<void> {
    await this.#refresh()
    const added: ProducedRecord[] = []
    const add = (key: string, value: string) => added.push({ key, value: Buffer.from(value) })
    if (this.#definition?.ordered !== ordered) {
      const { kafka } = native
      add(definitionKey, JSON.stringify({ ordered, ...(kafka !== undefined && { native: { kafka } }) }))
    }
    for (const { name, wishes } of groups) {
      const known = this.#patterns.get(name)
      if (known === undefined) add(name, '')
      for (const pattern of wishes)
        if (known?.has(pattern) !== true) add(`${name}${joint}${pattern}`, pattern)
    }
    if (added.length > 0) await this.#write(added)
  }

  /** Answer i belongs to type i. Where nothing is kept nobody knows, so that everything counts as wanted. */
  async wanted(group: string, types: readonly string[]): Promise<readonly boolean[]> {
    if (!(await this.#exists())) return types.map(() => true)
    await this.#refresh()
    const patterns = this.#patterns.get(group)
    return types.map((type) => {
      if (patterns === undefined) return true
      return [...patterns].some((pattern) => matchesPattern(pattern, type))
    })
  }

  /** The topic's groups, and what tools must know; undefined when there is no such topic. */
  async read(): Promise<
    { readonly groups: readonly string[]; readonly definition: StoredDefinition | undefined } | undefined
  > {
    if (!(await this.#exists())) return undefined
    await this.#refresh()
    return { groups: [...this.#patterns.keys()], definition: this.#definition }
  }

  /** Strikes a group out. */
  async strike(group: string): Promise<void> {
    await this.#refresh()
    const patterns = this.#patterns.get(group)
    if (patterns === undefined) return
    const keys = [group, ...[...patterns].map((pattern) => `${group}${joint}${pattern}`)]
    await this.#write(keys.map((key) => ({ key, value: null })))
  }

  async #exists(): Promise<boolean> {
    const count = await this.#administer(`Looking at topic ${this.#name}`, (gateway) =>
      gateway.partitionCount(this.#name),
    )
    return count !== undefined
  }

  async #write(records: readonly ProducedRecord[]): Promise<void> {
    const failure = firstFailure(await this.#send(this.#name, records))
    if (failure !== undefined) throw failure.error
  }

  #refresh(): Promise<void> {
    this.#reading = this.#reading
      .catch(() => {})
      .then(() =>
        this.#reader.readOn(
          (record) => this.#note(record),
          () => this.#patterns.clear(),
        ),
      )
    return this.#reading
  }

  #note({ key, value }: ConsumedRecord): void {
    const text = key?.toString('utf8') ?? ''
    if (text === definitionKey) {
      this.#definition = readDefinition(value)
      return
    }
    const [group = '', pattern] = text.split(joint)
    if (group === '') return
    if (pattern === undefined && value === null) {
      this.#patterns.delete(group)
      return
    }
    const patterns = this.#patterns.get(group) ?? new Set()
    if (pattern !== undefined) {
      if (value === null) patterns.delete(pattern)
      else patterns.add(pattern)
    }
    // Of a group that was struck out its wishes follow.
    if (value !== null || patterns.size > 0) this.#patterns.set(group, patterns)
  }
}

function readDefinition(value: Buffer | null): StoredDefinition | undefined {
  try {
    return definitionSchema.safeParse(JSON.parse(String(value))).data
  } catch {
    return undefined
  }
}
