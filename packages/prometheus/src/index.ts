export { type Metrics, prometheusMetrics } from './metrics.ts'
export type { MetricsOptions } from './options.ts'
