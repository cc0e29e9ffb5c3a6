import { type Bus, type ConsumerOptions, RetryAfter } from '@waybill/core'
import type { Outcome, Settlement } from '@waybill/core/driver'
import { z } from 'zod'
import { intercept } from './intercept.ts'
import { busMutant, driverMutant, type Mutant } from './mutant.ts'

const done: Outcome = { ok: true }

const optionsSchema = z.custom<ConsumerOptions>((value) => typeof value === 'object').optional()

/** A bus whose consumers have other options. */
function optionsMutant(
  description: Omit<Mutant, 'mutate'>,
  change: (options: ConsumerOptions) => ConsumerOptions,
): Mutant {
  return busMutant({
    ...description,
    bus: (bus: Bus) =>
      intercept(bus, {
        consumer: ([group, given]) =>
          Reflect.apply(bus.consumer, bus, [group, change(optionsSchema.parse(given) ?? {})]),
      }),
  })
}

export const unhandled: readonly Mutant[] = [
  driverMutant({
    name: 'acks unhandled types',
    fault: 'A type that this member does not handle is skipped, whatever others of the group want',
    caughtBy: ['93a', '93b', '93c', '93d', '94b'],
    layers: () => ({ wanted: async (types) => types.map(() => false) }),
  }),
  driverMutant({
    name: 'forgets wishes',
    fault: 'What members and definitions ask for is not kept for the group',
    caughtBy: ['93b', '93d'],
    layers: () => ({
      apply: ({ topics }, mode, forward) =>
        forward(
          {
            topics: topics.map(({ topic, groups }) => ({
              topic,
              groups: groups.map((group) => ({ ...group, wishes: [] })),
            })),
          },
          mode,
        ),
    }),
  }),
  driverMutant({
    name: 'wants everything',
    fault: 'A type that nobody ever asked for goes round and round',
    caughtBy: ['23', '94c'],
    layers: () => ({ wanted: async (types) => types.map(() => true) }),
  }),
  optionsMutant(
    {
      name: 'buries what others want',
      fault: 'A type that this member does not handle is a dead letter at once',
      caughtBy: ['93a', '93b', '93d', '94d'],
    },
    (options) => ({ ...options, unhandled: 'dead-letter' }),
  ),
  driverMutant({
    name: 'keeps what is for others',
    fault: 'What a member of an ordered group gives back for others stays with it',
    caughtBy: ['260a', '260b'],
    layers: () => ({
      async settle(settlements, forward) {
        const isForOthers = ({ verdict }: Settlement) =>
          verdict.kind === 'release' && verdict.toOthers === true
        const forwarded = settlements.filter((each) => !isForOthers(each))
        if (forwarded.length > 0) await forward(forwarded)
        return settlements.map(() => done)
      },
    }),
  }),
  driverMutant({
    name: 'copies what is for others',
    fault: 'What a member of an ordered group gives back for others comes again behind its key',
    caughtBy: ['260a', '260b'],
    layers: () => ({
      settle: (settlements, forward) =>
        forward(
          settlements.map(({ delivery, verdict }) => ({
            delivery,
            verdict:
              verdict.kind === 'release' && verdict.toOthers === true
                ? { kind: 'retry', delayMs: 200, headers: delivery.headers }
                : verdict,
          })),
        ),
    }),
  }),
  driverMutant({
    name: 'never gives up on a key',
    fault: 'What nobody of an ordered group handles goes from member to member for ever',
    caughtBy: ['260c'],
    layers: () => ({
      settle(settlements, forward) {
        const isUnhandled = ({ verdict }: Settlement) => verdict.kind === 'dead-letter'
        return forward(
          settlements.map((each) =>
            isUnhandled(each) ? { ...each, verdict: { kind: 'release', toOthers: true } } : each,
          ),
        )
      },
    }),
  }),
  busMutant({
    name: 'sends siblings round',
    fault: 'What another consumer of the process handles goes back to the broker until that one gets it',
    caughtBy: ['94a', '94f'],
    bus: (bus) =>
      intercept(bus, {
        consumer: ([group, options]) => {
          const consumer = bus.consumer(String(group), optionsSchema.parse(options) ?? {})
          return consumer.on('#', () => {
            throw new RetryAfter(200)
          })
        },
      }),
  }),
]
