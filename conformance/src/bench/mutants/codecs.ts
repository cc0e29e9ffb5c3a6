import { setTimeout } from 'node:timers/promises'
import type { ConnectOptions, Stage } from '@waybill/core'
import { busMutant, driverMutant, type Mutant } from './mutant.ts'
import { producerMutant } from './producing.ts'
import { deliveryMutant } from './receiving.ts'

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
  driverMutant({
    name: 'loses keys',
    fault: 'The key of a message on a topic without order does not travel',
    caughtBy: ['270c', '270f'],
    layers: () => ({
      publish: (batch, forward) =>
        forward(
          batch.map((message) => {
            if (message.topic.ordered) return message
            const { partitionkey: _, ...attributes } = message.attributes
            return { ...message, key: undefined, attributes }
          }),
        ),
    }),
  }),
  producerMutant(
    {
      name: 'sends when it is ready',
      fault: 'A send that takes longer to get ready is overtaken by later ones of its key',
      caughtBy: ['272'],
    },
    async (given, forward) => {
      const [, data] = given
      if (typeof data === 'object' && data !== null && 'n' in data && Number(data.n) % 3 === 0)
        await setTimeout(40)
      return forward(...given)
    },
  ),
  deliveryMutant(
    {
      name: 'forgets what was done to bodies',
      fault: 'The header that names the stages of a body is lost on the way',
      caughtBy: ['273a', '274a', '274b', '275a'],
    },
    (delivery) => {
      const { 'waybill-stages': _, ...headers } = delivery.headers
      return { ...delivery, headers }
    },
  ),
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
