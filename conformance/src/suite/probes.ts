import assert from 'node:assert/strict'
import { MessagingError } from '@waybill/core'
import type { Feature } from '@waybill/core/driver'
import type { CaseContext } from '../case/case-context.ts'
import { Recorder } from '../case/recorder.ts'
import { numbered } from '../fixtures/numbered.ts'

type Ask = (context: CaseContext) => Promise<unknown>

/**
 * How an application asks for each feature. Where the driver has it not, asking must fail at once with `unsupported`.
 * What has no way of asking beyond `requires` is not listed.
 */
const asks: { readonly [Name in Feature]?: Ask } = {
  async ordered(context) {
    const bus = await context.bus()
    await bus.provision([context.topic({ ordered: true })])
  },
  async delay(context) {
    const stage = await context.stage()
    await stage.sendOne({ delay: 1000 })
  },
  async priority(context) {
    const stage = await context.stage()
    await stage.sendOne({ priority: 9 })
  },
  async broadcast(context) {
    const stage = await context.stage()
    await stage.consume(new Recorder(), { broadcast: true })
  },
  async replay(context) {
    const bus = await context.bus()
    const topic = context.topic()
    await bus
      .consumer(context.unique('group'), { from: 'earliest' })
      .on(numbered(topic), () => undefined)
      .start()
  },
  async seek(context) {
    const stage = await context.stage()
    await stage.bus.group(stage.topic, stage.group).seek({ to: 'earliest' })
  },
}

/** Shows once a run that what a driver does not declare is refused when it is asked for. */
export class Probes {
  readonly #results = new Map<Feature, Promise<void>>()

  async run(features: readonly Feature[], context: CaseContext): Promise<void> {
    for (const feature of features) {
      let result = this.#results.get(feature)
      if (result === undefined) {
        result = probe(feature, context)
        this.#results.set(feature, result)
      }
      await result
    }
  }
}

async function probe(feature: Feature, context: CaseContext): Promise<void> {
  await refused(feature, context, 'connect({ requires })', context.bus({ requires: [feature] }))
  const ask = asks[feature]
  if (ask !== undefined) await refused(feature, context, 'asking for it', ask(context))
}

async function refused(
  feature: Feature,
  context: CaseContext,
  what: string,
  asked: Promise<unknown>,
): Promise<void> {
  const error = await asked.then(
    () => assert.fail(`The driver has no ${feature}, yet ${what} was accepted`),
    (thrown: unknown) => thrown,
  )
  assert.ok(MessagingError.is(error), `${what} without ${feature}: not a MessagingError`)
  assert.equal(error.code, 'unsupported', `${what} without ${feature}`)
  for (const word of [feature, context.harness.adapter.name]) {
    assert.ok(error.message.includes(word), `"${error.message}" does not name ${word}`)
  }
}
