import { defineConfig } from 'vitest/config'

export default defineConfig({
  // Unit tests run the sources of all packages, so nothing has to be built first.
  resolve: { conditions: ['@waybill/source'] },
  ssr: { resolve: { conditions: ['@waybill/source'] } },
  // One process for many files: they share no state, and starting one takes longer than most of them run.
  // A deadline for tests that hang, not a measure: some start processes or PGlite, on machines that are busy.
  test: {
    isolate: false,
    silent: 'passed-only',
    testTimeout: 120_000,
    include: ['{packages/*,conformance,benchmarks,examples/*}/src/**/*.test.ts'],
  },
})
