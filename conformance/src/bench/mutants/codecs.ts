import type { ConnectOptions, Stage } from '@waybill/core'
import { busMutant, driverMutant, type Mutant } from './mutant.ts'

/** A bus whose stages are others. */
function stagesMutant(description: Omit<Mutant, 'mutate'>, change: (stage: Stage) => Stage): Mutant {
  return busMutant({
    ...description,
    connect: (options: Partial<ConnectOptions>) => ({
      ...options,
      ...(options.stages !== undefined && { stages: options.stages.map(change) }),
    }),
  })
}

export const codecs: readonly Mutant[] = [
  busMutant({
    name: 'knows CloudEvents only',
    fault: 'The codec that was chosen is not used',
    caughtBy: ['270a', '270b', '271a'],
    connect: ({ codec: _, ...options }) => options,
  }),
  driverMutant({
    name: 'leaves the attributes out',
    fault: 'Attributes do not travel as headers where the body does not say them',
    caughtBy: ['270c', '270d', '270e'],
    layers: () => ({
      publish: (batch, forward) => forward(batch.map((message) => ({ ...message, attributes: {} }))),
    }),
  }),
  driverMutant({
    name: 'forgets what was filled in',
    fault:
      'A copy for a retry or the dead letters does not say what only the transport said, nor the stages of its body',
    caughtBy: ['270a', '273a', '274a'],
    layers: () => ({
      settle: (settlements, forward) =>
        forward(
          settlements.map(({ delivery, verdict }) => {
            if (!('headers' in verdict)) return { delivery, verdict }
            const lost = /^waybill-(?:id|time|subject|stages|content-type)$/
            const headers = Object.entries(verdict.headers).filter(([name]) => !lost.test(name))
            return { delivery, verdict: { ...verdict, headers: Object.fromEntries(headers) } }
          }),
        ),
    }),
  }),
  stagesMutant(
    {
      name: 'buries what it cannot read for now',
      fault: 'A message is undecodable while the store that its body needs is away',
      caughtBy: ['273b'],
    },
    (stage) => ({
      ...stage,
      undo: async (...given) => {
        try {
          return await stage.undo(...given)
        } catch (error) {
          throw new Error('It cannot be undone', { cause: error })
        }
      },
    }),
  ),
]
