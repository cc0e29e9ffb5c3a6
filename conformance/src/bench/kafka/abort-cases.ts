import assert from 'node:assert/strict'
import type { Driver, Topology } from '@waybill/core/driver'
import type { Case } from '../../case/case.ts'
import { refusal } from '../../case/refusal.ts'
import { wrapAdapter } from '../../case/wrap-adapter.ts'

/** Calls that somebody no longer wants. */
export const abortCases: readonly Case[] = [
  {
    number: 232,
    title: 'Provisioning that is no longer wanted ends at once, though the broker does not answer',
    needs: ['proxy'],
    async run(context) {
      const { options, proxy } = await context.proxied()
      let driver: Driver | undefined
      const adapter = wrapAdapter(context.harness.adapter, {
        async connect(forward) {
          driver = await forward()
          return driver
        },
      })
      await context.bus({ ...options, adapter })
      assert.ok(driver)
      const topic = { name: context.unique('topic'), ordered: false, partitions: 1, native: {} }
      const topology: Topology = { topics: [{ topic, groups: [] }] }
      proxy.blackhole()
      context.defer(() => proxy.heal())
      const startedAt = performance.now()
      await refusal('apply', driver.apply(topology, 'create', AbortSignal.timeout(300)), 'aborted')
      const tookMs = performance.now() - startedAt
      assert.ok(tookMs < 300 + context.pace(1000), `it took ${Math.round(tookMs)} ms`)
      proxy.heal()
      await context.eventually('the broker answers again', async () => {
        await driver?.apply(topology, 'create')
        return true
      })
    },
  },
]
