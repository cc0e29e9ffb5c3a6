import assert from 'node:assert/strict'
import { MessagingError } from '@waybill/core'
import type { CaseContext } from './case-context.ts'

/** What the call resolves with. Where the driver lacks it, the refusal must name the driver, and the case ends there. */
export async function offered<Result>(
  context: CaseContext,
  what: string,
  call: Promise<Result>,
): Promise<Result> {
  try {
    return await call
  } catch (error) {
    if (!MessagingError.is(error) || error.code !== 'unsupported') throw error
    const { name } = context.harness.adapter
    assert.ok(error.message.includes(name), `"${error.message}" does not name the driver ${name}`)
    context.skip(`the ${name} driver does not offer ${what}, and says so`)
  }
}
