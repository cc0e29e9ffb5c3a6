import { adapter as kafka } from '@waybill/adapter-kafka'
import { adapter as rabbitmq } from '@waybill/adapter-rabbitmq'
import { adapter as redis } from '@waybill/adapter-redis'
import { adapter as sqs } from '@waybill/adapter-sqs'
import type { BridgeEnd } from '@waybill/bridge'
import { type Bus, type ConnectOptions, connect } from '@waybill/core'
import type { CaseContext } from '../../case/case-context.ts'
import type { RunningBroker } from '../brokers/index.ts'

const adapters = { kafka, rabbitmq, redis, sqs }

/** A broker that bridges may begin or end at. */
export type EndName = keyof typeof adapters

/** How to reach it, as data for child processes. */
export interface End {
  readonly name: EndName
  readonly url: string
  readonly native: Readonly<Record<string, unknown>>
}

export type Ends = Readonly<Record<EndName, End & { readonly broker: RunningBroker }>>

/** For a bridge of this process or another. Core finds no adapters by their schemes from within a bundle. */
export function bridgeEnd({ name, url, native }: End): BridgeEnd {
  return { url, adapter: adapters[name], native, timeout: 'forever' }
}

export async function connectTo(
  context: CaseContext,
  { name, url, native }: End,
  options: Partial<ConnectOptions> = {},
): Promise<Bus> {
  const bus = await connect({ url, adapter: adapters[name], native, console: false, ...options })
  context.defer(() => bus.close({ timeout: '2s' }))
  return bus
}
