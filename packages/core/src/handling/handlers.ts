import type { DeliveryInHand } from '../deliveries/delivery.ts'
import type { HandlerContext } from '../deliveries/handler-context.ts'
import { matchesPattern } from '../driver/pattern.ts'
import type { ResolvedRetryPolicy } from '../lib/retry.ts'
import type { MessageDefinition } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import {
  BatchCollector,
  type BatchHandler,
  type BatchMiddleware,
  type BatchSettings,
} from './batch-collector.ts'
import type { Gate } from './gate.ts'
import { type GateContext, gateOf } from './gate-of.ts'
import type { ParsedPolicies } from './handler-policies.ts'
import type { Slots } from './lanes.ts'

/** `Reply` is what it must return when its definition has a reply. */
export type Handler<Data = unknown, Type extends string = string, Reply = unknown> = (
  message: Message<Data, Type>,
  context: HandlerContext,
) => Reply | PromiseLike<Reply>

/** What a consumer was told to do with a type, or with all that match a pattern. */
export interface Registration {
  /** Undefined for patterns: their data is taken as it travelled. */
  readonly definition: MessageDefinition | undefined
  /** A literal type or a pattern. */
  readonly types: string
  readonly handle: Handler | undefined
  readonly batch: { readonly handle: BatchHandler; readonly settings: BatchSettings } | undefined
  /** How long an attempt may take; undefined: as long as it likes. */
  readonly timeoutMs: number | undefined
  readonly retry: ResolvedRetryPolicy
  readonly policies: ParsedPolicies
}

/** A registration at work on one topic. */
export interface ActiveHandler {
  readonly definition: MessageDefinition | undefined
  /** Where deliveries gather first; it takes the slots itself. */
  readonly collector: BatchCollector | undefined
  /** Of an attempt without a batch; batches see to their own. */
  readonly timeoutMs: number | undefined
  readonly retry: ResolvedRetryPolicy
  /** What limits its calls; undefined: nothing. */
  readonly gate: Gate | undefined
  /** May throw as well as reject. */
  readonly handle: (delivery: DeliveryInHand) => unknown
}

/** What handlers have in common. */
export interface HandlersContext extends Omit<GateContext, 'types'> {
  /** Around the calls of batch handlers. */
  readonly batchMiddleware: readonly BatchMiddleware[]
}

function activate(
  { definition, types, handle, batch, timeoutMs, retry, policies }: Registration,
  slots: Slots,
  context: HandlersContext,
  collectors: BatchCollector[],
): ActiveHandler {
  const gate = gateOf(policies, { ...context, types })
  if (batch === undefined) {
    return {
      definition,
      collector: undefined,
      timeoutMs,
      retry,
      gate,
      handle: (delivery) => handle?.(delivery.message, delivery.context),
    }
  }
  const collector = new BatchCollector(
    batch.handle,
    { ...batch.settings, timeoutMs, middleware: context.batchMiddleware },
    slots,
  )
  collectors.push(collector)
  const add = (delivery: DeliveryInHand) => collector.add(delivery)
  return { definition, collector, timeoutMs: undefined, retry, gate, handle: add }
}

/** Finds the one handler of a type: its own first, then the patterns in the order they were registered. */
export class Handlers {
  readonly #byType = new Map<string, ActiveHandler>()
  readonly #patterns: { readonly pattern: string; readonly handler: ActiveHandler }[] = []
  /** Types that only patterns match, resolved once. */
  readonly #matched = new Map<string, ActiveHandler | undefined>()
  readonly collectors: BatchCollector[] = []
  /** One whose handler replies, if there is any. */
  readonly anyRequest: MessageDefinition | undefined

  /** Those that something limits, with their types. */
  readonly gates: { readonly types: string; readonly gate: Gate }[] = []

  constructor(registrations: readonly Registration[], slots: Slots, context: HandlersContext) {
    this.anyRequest = registrations.find(({ definition }) => definition?.reply !== undefined)?.definition
    for (const registration of registrations) {
      const handler = activate(registration, slots, context, this.collectors)
      if (handler.gate !== undefined) this.gates.push({ types: registration.types, gate: handler.gate })
      if (registration.definition !== undefined) this.#byType.set(registration.types, handler)
      else this.#patterns.push({ pattern: registration.types, handler })
    }
  }

  find(type: string): ActiveHandler | undefined {
    const exact = this.#byType.get(type)
    if (exact !== undefined) return exact
    if (this.#matched.has(type)) return this.#matched.get(type)
    const handler = this.#patterns.find(({ pattern }) => matchesPattern(pattern, type))?.handler
    // Types come from traffic: remembered up to a bound.
    if (this.#matched.size < 1000) this.#matched.set(type, handler)
    return handler
  }
}
