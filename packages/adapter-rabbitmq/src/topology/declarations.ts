import type { Channel } from '../client/amqplib.ts'
import type { Link } from '../connection/link.ts'
import type { Server } from '../connection/server.ts'
import { replyCodeOf } from '../errors.ts'
import { bindingsOf, type TopicObjects } from '../wire/names.ts'

/** Declarations under way at once: a quorum queue takes tens of milliseconds, most of it waiting. */
const parallelDeclarations = 8

export type QueueArguments = Readonly<Record<string, string | number | boolean>>

/** Replicated, and never dropping a message for having come back too often: core decides that. */
export function quorumArguments({ limitsDeliveries }: Server): QueueArguments {
  return { 'x-queue-type': 'quorum', ...(limitsDeliveries && { 'x-delivery-limit': -1 }) }
}

/** A queue that accepts everything and keeps nothing. */
export async function declareSink(channel: Channel, name: string, quorum: QueueArguments): Promise<void> {
  const args = { ...quorum, 'x-max-length': 0, 'x-overflow': 'drop-head' }
  await channel.assertQueue(name, { durable: true, arguments: args })
}

export function queueExists(link: Link, name: string): Promise<boolean> {
  return exists(link, (channel) => channel.checkQueue(name))
}

export function exchangeExists(link: Link, name: string): Promise<boolean> {
  return exists(link, (channel) => channel.checkExchange(name))
}

async function exists(link: Link, check: (channel: Channel) => Promise<unknown>): Promise<boolean> {
  try {
    await link.withChannel('Looking at the topology failed', check)
    return true
  } catch (error) {
    if (replyCodeOf(error) === 404) return false
    throw error
  }
}

export function declare(
  link: Link,
  label: string,
  use: (channel: Channel) => Promise<unknown>,
): Promise<unknown> {
  return link.withChannel(`Creating ${label} failed`, use)
}

/** `partition` is undefined for a queue that wants all of them. */
export async function bindQueue(
  channel: Channel,
  queue: string,
  objects: TopicObjects,
  patterns: readonly string[],
  partition: number | undefined,
): Promise<void> {
  for (const { exchange, key } of bindingsOf(objects, patterns, partition)) {
    // Bound when somebody needs it: until then it would cost each message time and match nothing.
    if (exchange !== objects.exchange) await channel.bindExchange(exchange.name, objects.exchange.name, '')
    await channel.bindQueue(queue, exchange.name, key)
  }
}

/** Starts the tasks in their order. */
export async function inParallel(tasks: readonly (() => Promise<unknown>)[]): Promise<void> {
  const queue = tasks.values()
  const worker = async () => {
    for (const task of queue) await task()
  }
  await Promise.all(Array.from({ length: Math.min(parallelDeclarations, tasks.length) }, worker))
}
