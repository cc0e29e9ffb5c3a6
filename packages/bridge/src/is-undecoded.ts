import type { Message } from '@waybill/core'
import type { UndecodedMessage } from '@waybill/core/tools'

/** Whether the message came by an `undecodedTopic`. */
export function isUndecoded(message: Message): message is Message<UndecodedMessage> {
  const { data } = message
  return typeof data === 'object' && data !== null && 'body' in data && 'lasting' in data
}
