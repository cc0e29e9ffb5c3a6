import type { Bus, Consumer, ConsumerOptions, Message, MessageDefinition } from '@waybill/core'
import { type Numbered, numbered } from '../fixtures/numbered.ts'
import type { CaseContext } from './case-context.ts'
import type { Recorder } from './recorder.ts'
import type { Stage } from './stage.ts'

export type Type = MessageDefinition<Numbered, Numbered>

/** A topic with one group and two types, of which members of the group handle one or both. */
export interface Scene {
  readonly stage: Stage
  readonly placed: Type
  readonly shipped: Type
  readonly recorder: Recorder
}

export interface SceneOptions {
  /** Default: false. */
  readonly ordered?: boolean
  /** Declares the group for both types, instead of by its name alone. Default: false. */
  readonly declared?: boolean
}

export async function openScene(context: CaseContext, options: SceneOptions = {}): Promise<Scene> {
  const { ordered = false, declared = false } = options
  const name = context.unique('group')
  const groups = declared ? [{ name, types: ['order.placed', 'order.shipped'] }] : [name]
  const stage = await context.stage({ topic: { ordered, groups } })
  return {
    stage,
    placed: numbered(stage.topic, 'order.placed'),
    shipped: numbered(stage.topic, 'order.shipped'),
    recorder: context.recorder(),
  }
}

/** Starts a consumer of some of the types; the recorder knows it by its name. */
export async function member(
  { stage, recorder }: Scene,
  name: string,
  types: readonly Type[],
  options: ConsumerOptions & { readonly bus?: Bus } = {},
  work?: (message: Message) => unknown,
): Promise<Consumer> {
  const { bus = stage.bus, ...rest } = options
  const consumer = bus.consumer(stage.group, rest)
  for (const type of types) consumer.on(type, recorder.handler(name, work))
  await consumer.start()
  return consumer
}
