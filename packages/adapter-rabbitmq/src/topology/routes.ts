import { closeChannel } from '../connection/close-channel.ts'
import type { Link } from '../connection/link.ts'
import { replyCodeOf, toDriverError } from '../errors.ts'

/**
 * For which routing keys an exchange has a queue; undefined when there is no such exchange. AMQP cannot list bindings, but
 * it returns a mandatory message that no queue takes: so this asks only exchanges whose queues keep nothing.
 */
export async function routesOf(
  link: Link,
  exchange: string,
  keys: readonly string[],
): Promise<readonly boolean[] | undefined> {
  const what = `Asking exchange ${exchange} for its bindings failed`
  const channel = await link.bounded(what, link.confirmChannel())
  const returned = new Set<string>()
  let reason: unknown
  channel.on('return', ({ fields }) => returned.add(fields.routingKey))
  channel.on('error', (error) => {
    reason = error
  })
  try {
    for (const key of keys) channel.publish(exchange, key, Buffer.alloc(0), { mandatory: true })
    await link.bounded(what, channel.waitForConfirms())
    return keys.map((key) => !returned.has(key))
  } catch (error) {
    if (replyCodeOf(reason) === 404) return undefined
    throw toDriverError(reason ?? error, what)
  } finally {
    void closeChannel(channel)
  }
}
