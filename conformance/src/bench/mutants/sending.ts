import { MessagingError } from '@waybill/core'
import type { OutboundMessage, Outcome, TopicSpec } from '@waybill/core/driver'
import { driverMutant, type Mutant } from './mutant.ts'

const confirmed: Outcome = { ok: true }

/** Forwards some messages of a batch and confirms them all. */
async function confirmAll(
  batch: readonly OutboundMessage[],
  kept: readonly OutboundMessage[],
  forward: (batch: readonly OutboundMessage[]) => Promise<readonly Outcome[]>,
): Promise<readonly Outcome[]> {
  if (kept.length > 0) await forward(kept)
  return batch.map(() => confirmed)
}

function everyNth(n: number): () => boolean {
  let count = 0
  return () => {
    count += 1
    return count % n === 0
  }
}

export const sending: readonly Mutant[] = [
  driverMutant({
    name: 'loses one message in twenty',
    fault: 'Confirms messages that it does not keep',
    caughtBy: ['1', '5', '6a', '14', '83'],
    layers: () => {
      const isLost = everyNth(20)
      return {
        publish: (batch, forward) =>
          confirmAll(
            batch,
            batch.filter(() => !isLost()),
            forward,
          ),
      }
    },
  }),
  driverMutant({
    name: 'loses one message in two thousand',
    fault: 'Loses so little that only a large load shows it',
    caughtBy: ['91'],
    layers: () => {
      const isLost = everyNth(2000)
      return {
        publish: (batch, forward) =>
          confirmAll(
            batch,
            batch.filter(() => !isLost()),
            forward,
          ),
      }
    },
  }),
  driverMutant({
    name: 'doubles one message in twenty',
    fault: 'Sends a message again although the broker has it',
    caughtBy: ['1', '17', '18', '91'],
    layers: () => {
      const isDoubled = everyNth(20)
      return {
        publish: (batch, forward) =>
          confirmAll(
            batch,
            batch.flatMap((message) => (isDoubled() ? [message, message] : [message])),
            forward,
          ),
      }
    },
  }),
  driverMutant({
    name: 'mixes topics up',
    fault: 'Sends every message to all topics it knows',
    caughtBy: ['4', '5'],
    layers: () => {
      const topics = new Map<string, TopicSpec>()
      return {
        apply(topology, mode, forward) {
          for (const { topic } of topology.topics) topics.set(topic.name, topic)
          return forward(topology, mode)
        },
        publish: (batch, forward) =>
          confirmAll(
            batch,
            batch.flatMap((message) => [...topics.values()].map((topic) => ({ ...message, topic }))),
            forward,
          ),
      }
    },
  }),
  driverMutant({
    name: 'cuts long batches',
    fault: 'Takes the first 500 messages of a batch and confirms the rest',
    caughtBy: ['6a'],
    layers: () => ({ publish: (batch, forward) => confirmAll(batch, batch.slice(0, 500), forward) }),
  }),
  driverMutant({
    name: 'cuts large batches',
    fault: 'Takes the first MiB of a batch and confirms the rest',
    caughtBy: ['6b'],
    layers: () => ({
      publish(batch, forward) {
        let bytes = 0
        const kept = batch.filter(({ body }) => {
          bytes += body.byteLength
          return bytes < 1024 * 1024
        })
        return confirmAll(batch, kept, forward)
      },
    }),
  }),
  driverMutant({
    name: 'blames the neighbour',
    fault: 'Gives each outcome of a batch to the next message',
    caughtBy: ['7a'],
    layers: () => ({
      async publish(batch, forward) {
        const outcomes = await forward(batch)
        return [...outcomes.slice(-1), ...outcomes.slice(0, -1)]
      },
    }),
  }),
  driverMutant({
    name: 'fails batches as a whole',
    fault: 'Reports all messages of a batch as failed when one is',
    caughtBy: ['7a'],
    layers: () => ({
      async publish(batch, forward) {
        const outcomes = await forward(batch)
        const failure = outcomes.find(({ ok }) => !ok)
        return failure === undefined ? outcomes : outcomes.map(() => failure)
      },
    }),
  }),
  driverMutant({
    name: 'loses the cause',
    fault: 'Makes errors of its own without the one of the client',
    caughtBy: ['12a'],
    layers: () => ({
      publish: (batch, forward) =>
        forward(batch).catch((error: unknown) => {
          throw new MessagingError('failed', String(error))
        }),
    }),
  }),
  driverMutant({
    name: 'hides the client',
    fault: 'Gives no way to the client underneath',
    caughtBy: ['12a'],
    layers: () => ({ native: () => undefined }),
  }),
  driverMutant({
    name: 'confirms before it sends',
    fault: 'Every second time confirms at once and sends a little later',
    caughtBy: ['54a'],
    layers: () => {
      const isHasty = everyNth(2)
      return {
        publish(batch, forward) {
          if (!isHasty()) return forward(batch)
          setTimeout(() => forward(batch).catch(() => undefined), 20)
          return Promise.resolve(batch.map(() => confirmed))
        },
      }
    },
  }),
  driverMutant({
    name: 'delivers delayed messages at once',
    fault: 'Ignores the delay of a message',
    caughtBy: ['61', '62'],
    layers: () => ({
      publish: (batch, forward) => forward(batch.map((message) => ({ ...message, delayMs: 0 }))),
    }),
  }),
  driverMutant({
    name: 'delivers delayed messages late',
    fault: 'Adds six seconds to each delay',
    caughtBy: ['61'],
    layers: () => ({
      publish: (batch, forward) =>
        forward(
          batch.map((message) => ({ ...message, delayMs: message.delayMs > 0 ? message.delayMs + 6000 : 0 })),
        ),
    }),
  }),
  driverMutant({
    name: 'delays in a queue',
    fault: 'Delayed messages wait for those that were sent before them',
    caughtBy: ['62'],
    layers: () => {
      let due = 0
      return {
        publish: (batch, forward) =>
          forward(
            batch.map((message) => {
              if (message.delayMs === 0) return message
              due = Math.max(due + 10, Date.now() + message.delayMs)
              return { ...message, delayMs: due - Date.now() }
            }),
          ),
      }
    },
  }),
  driverMutant({
    name: 'forgets priorities',
    fault: 'Treats all messages as equally urgent',
    caughtBy: ['66'],
    layers: () => ({
      publish: (batch, forward) =>
        forward(
          batch.map((message) => {
            const { 'waybill-priority': _, ...headers } = message.headers
            return { ...message, priority: undefined, headers }
          }),
        ),
    }),
  }),
]
