import { crc32 } from 'node:zlib'
import { headerNames, type TopicSpec } from '@waybill/core/driver'

/** The two levels that priorities are merged into: the streams of an unordered topic, most urgent first. */
const levels = ['stream:high', 'stream'] as const
/** The index of the level that messages without priority take. */
const normalLevel = 1
/** Priorities from here on are high; the scale is 0 to 9 (`OutboundMessage.priority`). */
const firstHighPriority = 5

/**
 * The keys of a topic. The braces are its hash tag: a cluster keeps them on one node, so that scripts may use them all. A
 * topic has several streams: one for each partition if it is ordered, else one for each level of priority. Either's index
 * is called the line.
 */
export interface TopicKeys {
  readonly base: string
  /** A hash: what the topic was created as, and counters. */
  readonly topic: string
  /** By line. */
  readonly streams: readonly string[]
  /** Sends that wait for their time: a sorted set of numbers by due time, a hash of entries, and one of numbers by id. */
  readonly delayed: string
  readonly delayedEntries: string
  readonly delayedIds: string
  /** A hash: how many delayed messages of a key there are, and when the last is due. */
  readonly heldKeys: string
  /** A sorted set of identities sent within the deduplication window. */
  readonly sent: string
  /** A set: the topic's groups. */
  readonly groups: string
  /** There while housekeeping need not be done again. */
  readonly tidied: string
  /** The channel that announces new entries in the topic's streams. */
  readonly wake: string
  /** The channel of a topic of notices. */
  readonly notices: string
}

/** The keys of a group of a topic. */
export interface GroupKeys {
  /** The group's own streams, by line: retries and replays, which no other group gets. */
  readonly own: readonly string[]
  /**
   * All streams the group reads, in the order in which it reads them: own and topic's of line 0, of line 1, and so on.
   * So source `2 * line` is the own stream of a line, and `2 * line + 1` the topic's.
   */
  readonly sources: readonly string[]
  /** Retries that wait for their time: a sorted set of numbers by due time, and a hash of entries. */
  readonly delayed: string
  readonly delayedEntries: string
  /** A stream, and a hash of its entry ids by dead letter id. */
  readonly dead: string
  readonly deadIndex: string
  /** A set: the patterns that somebody has asked for. */
  readonly wishes: string
  /** Members by when their lease ends and by when they were heard of (sorted sets), and the ids of their connections (hash). */
  readonly members: string
  readonly seen: string
  readonly connections: string
  /** Ordered topics: a hash of who owns each partition. */
  readonly owners: string
  readonly tidied: string
  /** There while nobody need look again for members that are silent. */
  readonly watched: string
  /** The channel that announces new entries in the group's own streams, and members that come and go. */
  readonly wake: string
}

export function topicKeys(
  prefix: string,
  topic: Pick<TopicSpec, 'name' | 'ordered' | 'partitions'>,
): TopicKeys {
  const base = `${prefix}:{${topic.name}}`
  const lines = topic.ordered
    ? Array.from({ length: topic.partitions }, (_, partition) => `stream:${partition}`)
    : levels
  return {
    base,
    topic: `${base}:topic`,
    streams: lines.map((line) => `${base}:${line}`),
    delayed: `${base}:delayed`,
    delayedEntries: `${base}:delayed:entries`,
    delayedIds: `${base}:delayed:ids`,
    heldKeys: `${base}:delayed:keys`,
    sent: `${base}:sent`,
    groups: `${base}:groups`,
    tidied: `${base}:tidied`,
    wake: `${base}:wake`,
    notices: `${base}:notices`,
  }
}

export function groupKeys(topic: TopicKeys, group: string): GroupKeys {
  const base = `${topic.base}:group:${group}`
  const own = topic.streams.map((stream) => `${base}${stream.slice(topic.base.length)}`)
  return {
    own,
    sources: topic.streams.flatMap((stream, line) => [own[line] ?? '', stream]),
    delayed: `${base}:delayed`,
    delayedEntries: `${base}:delayed:entries`,
    dead: `${base}:dead`,
    deadIndex: `${base}:dead:index`,
    wishes: `${base}:wishes`,
    members: `${base}:members`,
    seen: `${base}:members:seen`,
    connections: `${base}:members:connections`,
    owners: `${base}:owners`,
    tidied: `${base}:tidied`,
    watched: `${base}:watched`,
    wake: `${base}:wake`,
  }
}

/** The set of the topics that exist; not with the keys of any topic. */
export const registryKey = (prefix: string) => `${prefix}:topics`

/** The line a message of a topic takes. Foreign producers reach the same partition with CRC-32 (IEEE) of the key. */
export function lineOf(
  topic: Pick<TopicSpec, 'ordered' | 'partitions'>,
  key: string | undefined,
  priority: number | undefined,
): number {
  if (topic.ordered) return crc32(key ?? '') % topic.partitions
  return priority !== undefined && priority >= firstHighPriority ? 0 : normalLevel
}

/** The line that a copy with these headers takes on an unordered topic. */
export function lineOfHeaders(headers: Readonly<Record<string, string>>): number {
  const priority = headers[headerNames.priority]
  return priority !== undefined && Number(priority) >= firstHighPriority ? 0 : normalLevel
}

/** The name under which the owner of a partition reads it; the next owner inherits what is pending under it. */
export const partitionReader = 'owner'

/** The name under which entries of an unordered topic wait that were given back to the group. */
export const returnedName = 'returned'

/** The name of all connections of a driver. */
export const connectionName = (instance: string) => `waybill-${instance}`

/** A member of a group is one subscription of one driver; it joins under another number when it was taken for dead. */
export const memberName = (instance: string, number: number) => `${instance}-${number}`

/** Whether CLIENT LIST (Redis documentation, "CLIENT LIST") shows a connection of the member's driver under that id. */
export function isConnected(list: string, member: string, connection: string): boolean {
  const name = connectionName(member.replace(/-\d+$/, ''))
  return list
    .split('\n')
    .some((line) => line.startsWith(`id=${connection} `) && line.includes(` name=${name} `))
}
