import { existsSync } from 'node:fs'
import type { Broker, Contender } from './contender.ts'

/** The plain client, the client in an expert's hands, and Waybill. */
export const ours: Readonly<Record<Broker, readonly string[]>> = {
  rabbitmq: ['plain', 'tuned', 'waybill'],
  kafka: ['plain', 'plain-idempotent', 'tuned', 'waybill'],
  redis: ['plain', 'tuned', 'waybill'],
  sqs: ['plain', 'tuned', 'waybill'],
}

/** Other libraries, which have their own folder and their own dependencies. */
export const peers: Readonly<Record<Broker, readonly string[]>> = {
  rabbitmq: ['rascal', 'nestjs', 'message-queue-toolkit'],
  kafka: ['nestjs'],
  redis: ['bullmq'],
  sqs: ['sqs-consumer', 'message-queue-toolkit'],
}

/** A contender's module: one of its broker, one for all brokers, or one of a peer. */
export async function loadContender(broker: Broker, name: string): Promise<Contender> {
  const places = [
    `./contenders/${broker}/${name}.ts`,
    `./contenders/${name}.ts`,
    `../peers/src/${broker}/${name}.ts`,
  ]
  for (const place of places) {
    const url = new URL(place, import.meta.url)
    if (!existsSync(url)) continue
    const module: { readonly contender: Contender } = await import(url.href)
    return module.contender
  }
  throw new Error(`There is no contender ${name} for ${broker}`)
}
