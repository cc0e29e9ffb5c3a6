import type { Channel } from 'amqplib'
import { replyCodeOf } from './errors.ts'
import type { Link } from './link.ts'

/** Declarations under way at once: a quorum queue takes tens of milliseconds, most of it waiting. */
const parallelDeclarations = 8

/** Replicated, and never dropping a message for having come back too often: core decides that. */
export const quorumArguments = { 'x-queue-type': 'quorum', 'x-delivery-limit': -1 }

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

/** Starts the tasks in their order. */
export async function inParallel(tasks: readonly (() => Promise<unknown>)[]): Promise<void> {
  const queue = tasks.values()
  const worker = async () => {
    for (const task of queue) await task()
  }
  await Promise.all(Array.from({ length: Math.min(parallelDeclarations, tasks.length) }, worker))
}
