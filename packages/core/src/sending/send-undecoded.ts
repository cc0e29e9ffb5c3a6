import { headerNames } from '../driver/transport-headers.ts'
import type { Duration } from '../lib/duration.ts'
import type { Message } from '../messages/message.ts'
import type { Topic } from '../messages/topic.ts'
import type { UndecodedMessage } from '../messages/undecoded-message.ts'
import type { Producer } from './producer.ts'
import { withStoredTimes } from './send-options.ts'
import { definitionOfStored } from './send-stored.ts'

export interface UndecodedSendOptions {
  /** 0 (lowest) to 9. Needs the feature `priority`. Default: the broker's. */
  readonly priority?: number | undefined
  /** Instead of the producer's. */
  readonly timeout?: Duration
}

/**
 * Sends a message as it travelled before, byte for byte, under its own id and key, with what is left of its time until it
 * expires. Resolves and rejects as `producer.send` does.
 *
 * @example
 * const target = undecodedTopic(topic)
 * source.consumer('copy').on(undecodedTopic(topic), '#', (message) => sendUndecoded(producer, target, message))
 *
 * @throws as `producer.send`.
 */
export function sendUndecoded(
  producer: Producer,
  topic: Topic,
  message: Message<UndecodedMessage>,
  { priority, timeout }: UndecodedSendOptions = {},
): Promise<Message> {
  const { id, type, timestamp, expiresAt, data } = message
  // Of one whose order nothing says, the id is as good as any key.
  const key = message.key ?? (topic.ordered ? id : undefined)
  const options = {
    id,
    ...(key !== undefined && { key }),
    ...(priority !== undefined && { priority }),
    ...(timeout !== undefined && { timeout }),
  }
  const times = { timestamp, expiresAt, onHandedOver: undefined }
  return producer.send(
    definitionOfStored(topic, type, 1, undefined),
    message.filledIn?.includes('id') ? withId(data, id) : data,
    withStoredTimes(options, times),
  )
}

/** Its copies keep the id it was given on receipt. */
function withId(data: UndecodedMessage, id: string): UndecodedMessage {
  return { ...data, lasting: { ...data.lasting, [headerNames.id]: id } }
}
