import { defineConfig } from 'vitest/config'

export default defineConfig({
  // Unit tests run the sources of all packages, so nothing has to be built first.
  resolve: { conditions: ['@waybill/source'] },
  ssr: { resolve: { conditions: ['@waybill/source'] } },
  // One process for many files: they share no state, and starting one takes longer than most of them run.
  test: { isolate: false, include: ['{packages/*,conformance,benchmarks}/src/**/*.test.ts'] },
})
