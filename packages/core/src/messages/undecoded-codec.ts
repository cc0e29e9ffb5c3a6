import { MessagingError } from '../lib/errors.ts'
import type { Codec } from './codec.ts'
import type { Topic } from './topic.ts'

/** Stands for no codec at all: reading and writing leave out codecs, stages and CloudEvents when they meet it. */
export const undecoded: Codec = {
  name: 'undecoded',
  carriesAnyData: true,
  encode: () => {
    throw new MessagingError('failed', 'A message that is not decoded has nothing to encode')
  },
  decode: () => undefined,
}

/**
 * The topic for consumers and producers that take messages as they travel: their data is an `UndecodedMessage`. It declares no
 * groups, unless some are given. Such a topic counts for its whole bus: give a tool a bus of its own.
 *
 * @example
 * const orders = undecodedTopic({ name: 'orders', ordered: true, partitions: 8, native: {} })
 * bus.consumer('audit').on(orders, '#', ({ id, data }) => archive(id, (data as UndecodedMessage).body))
 */
export function undecodedTopic(topic: Omit<Topic, 'groups' | 'format'>, groups: Topic['groups'] = []): Topic {
  const { name, ordered, partitions, native } = topic
  return { name, ordered, partitions, native, groups, format: { codecs: [undecoded], stages: [] } }
}
