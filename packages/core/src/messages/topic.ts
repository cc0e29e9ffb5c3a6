import { z } from 'zod'
import type { TopicSpec } from '../driver.ts'
import { ConfigurationError, describe } from '../lib/errors.ts'
import { lazily, parseOptions, withFields } from '../lib/validation.ts'
import { type BodyFormat, type BodyFormatOptions, bodyFormatFields, bodyFormatOf } from './body-format.ts'

export interface TopicOptions<Group extends string = string> extends BodyFormatOptions {
  /** Deliveries of one key within a group are sequential and in order. Default: false. */
  readonly ordered?: boolean
  /**
   * How many keys a group can handle in parallel at most, on brokers that divide ordered topics (RabbitMQ, Kafka,
   * Redis). Fixed once the topic exists. Default: 8.
   */
  readonly partitions?: number
  /**
   * Groups that exist from the topic's first use on, so that messages are kept for them before their first consumer
   * starts. `types` narrows what a group gets; default: all. On a topic that declares groups, others are refused unless
   * `allowUndeclaredGroup` is set: most are typing errors that nobody would notice.
   */
  readonly groups?: readonly (Group | { readonly name: Group; readonly types: readonly string[] })[]
  /** Settings of one broker, by adapter name; see the adapter's README. */
  readonly native?: Readonly<Record<string, unknown>>
}

/**
 * A named stream of messages; every group receives each message. Made by `defineTopic`. `Group` is the union of its
 * declared groups' names, or `string` if it declares none.
 */
export interface Topic<Group extends string = string> extends TopicSpec {
  readonly groups: readonly TopicGroup[]
  readonly format?: BodyFormat | undefined
  // For the compiler only; it never exists. Methods compare their parameters both ways, so a topic fits wherever its groups
  // and those asked for overlap, any topic fits `Topic`, and an undeclared name fits nowhere.
  declares?(group: Group): void
}

/** A declared group. */
export interface TopicGroup {
  readonly name: string
  /** What is kept for it. */
  readonly types: readonly string[]
  /** Declared by name alone: everything is kept for it, and its members say which types they want. */
  readonly named: boolean
}

export const nameSchema = lazily(() =>
  z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
      'expected 1 to 64 letters, digits, ".", "_" or "-", starting with a letter or digit',
    ),
)

/** A message type or a pattern: dotted segments without white space. */
export const typeSchema = lazily(() =>
  z
    .string()
    .max(255)
    .regex(/^[^.\s]+(\.[^.\s]+)*$/, 'expected dotted segments such as "order.created", without white space'),
)

const topicSchema = lazily(() =>
  z.strictObject({
    name: nameSchema(),
    ordered: z.boolean().default(false),
    partitions: z.int().min(1).max(1000).default(8),
    groups: z
      .array(
        z.union([nameSchema(), z.strictObject({ name: nameSchema(), types: z.array(typeSchema()).min(1) })]),
      )
      .default([]),
    native: z.record(z.string(), z.unknown()).default({}),
    ...bodyFormatFields(),
  }),
)

/** A topic made by `defineTopic`, where users pass it in. */
export const definedTopicSchema = lazily(() =>
  z.custom<Topic>(
    (value) => typeof value === 'object' && value !== null && 'name' in value && 'groups' in value,
    { error: ({ input }) => `expected a topic made by defineTopic(), not ${describe(input)}` },
  ),
)

/**
 * Defines a topic. It touches no broker: topics are provisioned when they are first used.
 *
 * ```ts
 * const orders = defineTopic('orders', { ordered: true, groups: ['billing', { name: 'shipping', types: ['order.paid'] }] })
 * ```
 *
 * @throws {ConfigurationError} listing every problem.
 */
export function defineTopic<const Group extends string = string>(
  name: string,
  options: TopicOptions<Group> = {},
): Topic<Group> {
  const { codec, stages, ...topic } = parseOptions(
    topicSchema(),
    withFields(options, { name }),
    `topic ${describe(name)}`,
  )
  return {
    ...topic,
    format: bodyFormatOf({ codec, stages }),
    groups: topic.groups.map((group) =>
      typeof group === 'string' ? { name: group, types: ['#'], named: true } : { ...group, named: false },
    ),
  }
}

/**
 * Refuses a group that the topic does not declare, if it declares others.
 *
 * @throws {ConfigurationError} naming both sides.
 */
export function requireDeclared({ name, groups }: Topic, group: string): void {
  if (groups.length === 0 || groups.some((each) => each.name === group)) return
  const declared = groups.map((each) => `"${each.name}"`).join(', ')
  const what = `topic "${name}" does not declare the group "${group}", only ${declared}`
  const next = 'correct the name, declare the group, or pass allowUndeclaredGroup: true'
  throw new ConfigurationError('group', [{ path: 'group', message: `${what}; ${next}` }])
}
