import assert from 'node:assert/strict'
import type {} from '@waybill/adapter-kafka'
import type { Case } from '../../case/case.ts'

/** Of one consumer, and of one broker, in a second. */
const mostRequests = 10

export const atRest: Case = {
  number: 228,
  title: 'A consumer that has nothing to do asks the broker less than ten times a second',
  async run(context) {
    const stage = await context.stage()
    const recorder = context.recorder()
    await stage.consume(recorder)
    await context.exactly(recorder, [await stage.sendOne()])
    const [consumer] = stage.bus.native('kafka').consumers
    assert.ok(consumer)
    let requests = 0
    const ignore = consumer.on(consumer.events.REQUEST, () => {
      requests += 1
    })
    const windowMs = 4000
    await context.quiet(windowMs)
    ignore()
    assert.ok(requests > 0, 'nothing was counted')
    assert.ok(requests < (mostRequests * windowMs) / 1000, `${requests} requests in ${windowMs} ms`)
    await context.exactly(recorder, [{ id: recorder.ids[0] ?? '' }, await stage.sendOne()])
  },
}
