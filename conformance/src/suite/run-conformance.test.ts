import { connect, memory } from '@waybill/core'
import type { Adapter } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import type { Case, Section } from '../case/case.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'
import type { Harness } from '../harness.ts'
import { summaryLine } from './report.ts'
import { runConformance } from './run-conformance.ts'

function harnessOf(adapter: Adapter, overrides: Partial<Harness> = {}): Harness {
  const url = 'memory:run-conformance-test'
  return {
    name: 'test',
    adapter,
    connection: { url },
    timeScale: 1,
    connect: (options) => connect({ url, adapter, ...options }),
    sharedByProcesses: false,
    ...overrides,
  }
}

const sectionOf = (...cases: Case[]): Section[] => [{ title: 'Section', cases }]
const healthy = harnessOf(memory())
const modest = harnessOf(
  wrapAdapter(memory(), {
    capabilities: (own) => ({
      ...own,
      delay: false,
      seek: false,
      replay: false,
      broadcast: false,
      priority: false,
    }),
  }),
)

test('a case passes when it resolves and fails with what it rejects with', async () => {
  const { results } = await runConformance(healthy, {
    sections: sectionOf(
      { number: 1, title: 'Passes', run: async () => {} },
      {
        number: 2,
        title: 'Fails',
        run: () => Promise.reject(new Error('broken', { cause: new TypeError('why') })),
      },
    ),
  })
  expect(results.map(({ id, status }) => [id, status])).toEqual([
    ['1', 'passed'],
    ['2', 'failed'],
  ])
  expect(results[1]?.reason).toBe('Error: broken\n  because TypeError: why')
})

test('a case that takes too long fails and says what it was waiting for', async () => {
  const { results } = await runConformance(healthy, {
    sections: sectionOf({
      number: 1,
      title: 'Hangs',
      timeoutMs: 50,
      run: (context) => context.eventually('pigs fly', () => false),
    }),
  })
  expect(results[0]?.reason).toBe('Error: Not done within 50 ms, waiting for: pigs fly')
})

test.each(['delay', 'seek', 'replay', 'broadcast', 'priority'] as const)(
  'a case that requires %s is skipped where the driver has it not, after asking for it was refused',
  async (feature) => {
    const { results } = await runConformance(modest, {
      sections: sectionOf({
        number: 1,
        title: 'Needs a feature',
        requires: [feature],
        run: () => Promise.reject(new Error('it ran')),
      }),
    })
    expect(results[0]).toMatchObject({
      status: 'skipped',
      reason: `no capability ${feature}; asking for it is refused`,
    })
  },
)

test('it fails where a feature that is not there can be asked for all the same', async () => {
  const { adapter } = modest
  const url = 'memory:run-conformance-test'
  const careless = harnessOf(adapter, {
    connect: ({ requires: _, ...options } = {}) => connect({ url, adapter, ...options }),
  })
  const { results } = await runConformance(careless, {
    sections: sectionOf({ number: 61, title: 'Needs delays', requires: ['delay'], run: async () => {} }),
  })
  expect(results[0]?.status).toBe('failed')
  expect(results[0]?.reason).toContain('The driver has no delay, yet connect({ requires }) was accepted')
})

test('a case whose needs the harness does not meet is skipped with the reason', async () => {
  const report = await runConformance(healthy, {
    sections: sectionOf(
      { number: 1, title: 'Restarts', needs: ['restart'], run: async () => {} },
      { number: 2, title: 'Finds out', run: async (context) => context.skip('nothing to see') },
    ),
  })
  expect(report.results.map(({ reason }) => reason)).toEqual([
    'the harness cannot restart the broker',
    'nothing to see',
  ])
  expect(summaryLine(report)).toBe('test: 0 passed, 0 failed, 2 skipped')
})

test('cases that are alone run before the others, one at a time', async () => {
  const order: string[] = []
  const named = (number: number, alone: boolean): Case => ({
    number,
    title: 'Runs',
    alone,
    async run(context) {
      order.push(`${number} begins`)
      await context.work(20)
      order.push(`${number} ends`)
    },
  })
  await runConformance(healthy, {
    parallel: 4,
    sections: sectionOf(named(1, false), named(2, true), named(3, true)),
  })
  expect(order).toEqual(['2 begins', '2 ends', '3 begins', '3 ends', '1 begins', '1 ends'])
})

test('what a case opened is closed after it, and what does not close is a failure', async () => {
  let isClosed = false
  const { results } = await runConformance(healthy, {
    sections: sectionOf({
      number: 1,
      title: 'Leaves a cleanup',
      async run(context) {
        context.defer(() => {
          isClosed = true
          throw new Error('does not close')
        })
      },
    }),
  })
  expect(isClosed).toBe(true)
  expect(results[0]).toMatchObject({ status: 'failed', reason: 'Error: does not close' })
})
