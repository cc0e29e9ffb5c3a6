import type { Bus, ConnectOptions } from '@waybill/core'
import { type Layers, wrapAdapter } from '../../case/wrap-adapter.ts'
import type { Harness } from '../../harness.ts'

/** A fault put into Waybill on purpose, and the cases that name it. */
export interface Mutant {
  readonly name: string
  /** What is wrong, in a sentence. */
  readonly fault: string
  /** Ids of cases, each of which must fail. */
  readonly caughtBy: readonly string[]
  mutate(harness: Harness): Harness
}

type Description = Omit<Mutant, 'mutate'>

/** A fault of a driver. It stands next to core, outside of what cases put in themselves. */
export function driverMutant({ layers, ...description }: Description & { layers(): Layers }): Mutant {
  return {
    ...description,
    mutate(harness) {
      const made = layers()
      return {
        ...harness,
        connect: (options) =>
          harness.connect({ ...options, adapter: wrapAdapter(options?.adapter ?? harness.adapter, made) }),
      }
    },
  }
}

/** A fault of the portable layer, put around its buses. */
export function busMutant({
  bus = (healthy) => healthy,
  connect = (options) => options,
  ...description
}: Description & {
  bus?(bus: Bus): Bus
  connect?(options: Partial<ConnectOptions>): Partial<ConnectOptions>
}): Mutant {
  return {
    ...description,
    mutate: (harness) => ({
      ...harness,
      connect: async (options = {}) => bus(await harness.connect(connect(options))),
    }),
  }
}
