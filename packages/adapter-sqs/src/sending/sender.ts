import type { MessagingError } from '@waybill/core/driver'
import { withheld } from '@waybill/core/driver-kit'
import { type ItemResult, inBatches } from '../connection/batches.ts'
import type { Queue } from '../connection/queue.ts'
import type { SnsTopic } from '../connection/sns-topic.ts'
import { encode, type Outgoing } from '../wire/messages.ts'

export type Destination = Queue | SnsTopic

/** Sends messages to a queue or topic. Result i belongs to message i; it never rejects. */
export function sendAll(destination: Destination, messages: readonly Outgoing[]): Promise<ItemResult[]> {
  return destination.isFifo ? sendInOrder(destination, messages) : sendUnordered(destination, messages)
}

async function sendUnordered(destination: Destination, messages: readonly Outgoing[]): Promise<ItemResult[]> {
  const results = await sendOnce(destination, messages, true)
  // Emulators accept fewer characters than SQS itself; what they refuse is sent as Base64.
  const refused = [...messages.entries()].filter(
    ([index]) => results[index]?.failure?.Code === 'InvalidMessageContents',
  )
  if (refused.length === 0) return results
  const again = await sendOnce(
    destination,
    refused.map(([, outgoing]) => outgoing),
    false,
  )
  for (const [place, [index]] of refused.entries()) results[index] = again[place]
  return results
}

/**
 * A batch holds at most one message of each key: the service may refuse one entry and take the next, which would then
 * overtake it. After a failure the later messages of its key are withheld.
 */
async function sendInOrder(destination: Destination, messages: readonly Outgoing[]): Promise<ItemResult[]> {
  const results: ItemResult[] = new Array(messages.length).fill(undefined)
  const lanes = new Map<string, number[]>()
  for (const [index, { fifo }] of messages.entries()) {
    const key = fifo?.groupId ?? ''
    const lane = lanes.get(key)
    if (lane === undefined) lanes.set(key, [index])
    else lane.push(index)
  }
  while (lanes.size > 0) {
    const heads = [...lanes].flatMap(([key, [index]]) => {
      const outgoing = index === undefined ? undefined : messages[index]
      return index === undefined || outgoing === undefined ? [] : [{ key, index, outgoing }]
    })
    const round = await sendUnordered(
      destination,
      heads.map(({ outgoing }) => outgoing),
    )
    for (const [place, { key, index }] of heads.entries()) {
      const result = round[place]
      const [, ...later] = lanes.get(key) ?? []
      if (result !== undefined) {
        results[index] = result
        for (const each of later) results[each] = { error: withheldError(key) }
      }
      if (result !== undefined || later.length === 0) lanes.delete(key)
      else lanes.set(key, later)
    }
  }
  return results
}

function withheldError(key: string): MessagingError {
  return withheld(key).error
}

function sendOnce(
  destination: Destination,
  messages: readonly Outgoing[],
  asText: boolean,
): Promise<ItemResult[]> {
  const encoded = messages.map((outgoing) => ({ ...encode(outgoing, asText), outgoing }))
  return inBatches(encoded, {
    what: destination.sending,
    size: { of: ({ bytes }) => bytes, most: destination.mostBytes },
    call: (batch) =>
      destination.send(
        batch.map(({ text, attributes, outgoing: { fifo, delaySeconds } }, place) => ({
          id: String(place),
          text,
          attributes,
          fifo,
          delaySeconds,
        })),
      ),
  })
}
