import assert from 'node:assert/strict'
import { ConfigurationError, defineMessage, defineTopic, type MessageDefinition } from '@waybill/core'
import { describe, it } from 'vitest'
import { z } from 'zod'
import { defineSaga } from './define-saga.ts'
import type { SagaPart, SagaParts } from './saga-parts.ts'

const topic = defineTopic('orders')
const schema = z.object({ orderId: z.string() })
const key = ({ orderId }: { orderId: string }) => orderId
const Placed = defineMessage(topic, 'placed', { schema, key })
const Done = defineMessage(topic, 'done', { schema, key })
const Keyless = defineMessage(topic, 'keyless', { schema })

type Order = z.output<typeof schema>

function problemsOf(
  parts: (saga: SagaParts<Order, Order>) => readonly SagaPart<Order>[],
  name = 'checkout',
): readonly string[] {
  try {
    defineSaga(name, { data: schema }, parts)
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    return error.issues.map(({ path, message }) => `${path}: ${message}`)
  }
  return []
}

describe('defineSaga', () => {
  it('lists every problem of a definition at once', () => {
    const missing: MessageDefinition = JSON.parse('{}')
    const problems = problemsOf(
      (saga) => [
        saga.step('twice', { run: () => {}, refused: saga.reply(Done), timeout: '5m' }),
        saga.step('twice', { run: () => {}, done: saga.reply(Done), compensated: saga.reply(Keyless) }),
        saga.on(missing, () => {}),
      ],
      'not a name',
    )
    assert.deepEqual(problems, [
      'name: expected 1 to 51 letters, digits, "_" or "-", starting with a letter or digit',
      'startedBy: nothing starts it: add startedBy(…)',
      'step "twice".refused: has no done beside it, so nothing would wait for it',
      'step "twice".timeout: has no done beside it, so nothing would wait',
      'step "twice".compensated: has no compensate beside it, so nothing would be answered',
      'step "twice": the name is taken by another one',
      'step "twice".done: done is step "twice".refused already; a message has one place',
      'step "twice".compensated: keyless has no key to find the saga by; give its definition a key, or this an id',
      'on: expected a message made by defineMessage(); a circle of imports leaves undefined',
    ])
  })

  it('refuses a saga that would do nothing', () => {
    const problems = problemsOf((saga) => [saga.startedBy(Placed, ({ data }) => data)])
    assert.deepEqual(problems, ['steps: it would do nothing: add step(…), on(…) or onTimeout(…)'])
  })

  it('refuses a timeout that is no duration, and functions that are none', () => {
    const wrong = JSON.parse('{"timeout": "soon", "compensationTimeout": "later", "run": 1, "compensate": 2}')
    const problems = problemsOf((saga) => [
      saga.startedBy(Placed, ({ data }) => data),
      saga.step('wait', { ...wrong, done: saga.reply(Done) }),
    ])
    assert.deepEqual(problems, [
      'step "wait".run: expected a function',
      'step "wait".compensate: expected a function',
      'step "wait".compensationTimeout: has no compensated beside it, so nothing would wait',
      "step \"wait\".timeout: expected a duration such as '30s' or '5m'",
      "step \"wait\".compensationTimeout: expected a duration such as '30s' or '5m'",
    ])
  })

  it('takes an id instead of a key', () => {
    const problems = problemsOf((saga) => [
      saga.startedBy(Placed, ({ data }) => data),
      saga.on(Keyless, () => {}, { id: ({ orderId }) => orderId }),
    ])
    assert.deepEqual(problems, [])
  })
})
