import { type FiguresOptions, figuresFields } from '@waybill/figures'
import { Registry } from 'prom-client'
import { z } from 'zod'

export interface MetricsOptions extends FiguresOptions {
  /** Where the metrics go. Default: a registry of their own. */
  readonly registry?: Registry
  /** Labels with the same value on every metric, such as `{ service: 'billing' }`. Default: none. */
  readonly labels?: Readonly<Record<string, string>>
}

export const optionsSchema = z.strictObject({
  registry: z
    .custom<Registry>(
      (value) => typeof value === 'object' && value !== null && 'registerMetric' in value,
      'expected a Registry of prom-client',
    )
    .default(() => new Registry()),
  labels: z
    .record(z.string().regex(/^(?!__)[A-Za-z_][A-Za-z0-9_]*$/, 'expected the name of a label'), z.string())
    .default({}),
  ...figuresFields(),
})
