import { z } from 'zod'
import { type Interceptor, intercept } from './intercept.ts'
import { busMutant, type Mutant } from './mutant.ts'

const handlerSchema = z.custom<(...args: readonly unknown[]) => unknown>(
  (value) => typeof value === 'function',
)
const typedSchema = z.object({ type: z.string() })

/** A bus whose consumers register handlers otherwise. */
function registrationMutant(description: Omit<Mutant, 'mutate'>, on: () => Interceptor): Mutant {
  return busMutant({
    ...description,
    bus: (bus) =>
      intercept(bus, {
        consumer: ([group, options]) =>
          intercept(Reflect.apply(bus.consumer, bus, [group, options]), { on: on() }),
      }),
  })
}

/** Another pattern for each that names its topic. */
function patternMutant(description: Omit<Mutant, 'mutate'>, change: (pattern: string) => string): Mutant {
  return registrationMutant(
    description,
    () =>
      ([first, second, third], forward) =>
        third === undefined ? forward(first, second) : forward(first, change(String(second)), third),
  )
}

export const registration: readonly Mutant[] = [
  patternMutant(
    { name: 'takes "*" for "#"', fault: '"*" stands for any number of segments', caughtBy: ['19'] },
    (pattern) => pattern.replaceAll('*', '#'),
  ),
  patternMutant(
    { name: 'takes "#" for "*"', fault: '"#" stands for exactly one segment', caughtBy: ['20'] },
    (pattern) => pattern.replaceAll('#', '*'),
  ),
  registrationMutant(
    {
      name: 'calls every handler that fits',
      fault: 'Overlapping patterns each get the message',
      caughtBy: ['21'],
    },
    () => {
      const earlier: ((...args: readonly unknown[]) => unknown)[] = []
      return ([first, second, third], forward) => {
        const handler = handlerSchema.parse(third ?? second)
        earlier.push(handler)
        const all = async (...args: readonly unknown[]) => {
          for (const each of earlier) await each(...args)
        }
        return third === undefined ? forward(first, all) : forward(first, second, all)
      }
    },
  ),
  registrationMutant(
    {
      name: 'takes patterns for regular expressions',
      fault: 'Characters with a meaning in regular expressions are not literal',
      caughtBy: ['22'],
    },
    () =>
      ([first, second, third], forward) => {
        if (third === undefined) return forward(first, second)
        const handler = handlerSchema.parse(third)
        const expression = new RegExp(`^${String(second)}$`)
        return forward(first, '#', (message: unknown, context: unknown) =>
          expression.test(typedSchema.parse(message).type) ? handler(message, context) : undefined,
        )
      },
  ),
  registrationMutant(
    {
      name: 'handles what is invalid',
      fault: 'Data is not held against its schema on receipt',
      caughtBy: ['88b'],
    },
    () =>
      ([definition, ...handlers], forward) =>
        forward({ ...z.record(z.string(), z.unknown()).parse(definition), schema: z.any() }, ...handlers),
  ),
]
