import type { StoredDeadLetter } from '@waybill/core/driver'
import { driverMutant, type Mutant } from './mutant.ts'

/** A driver whose dead letters are other than what it was given. */
function letterMutant(
  description: Omit<Mutant, 'mutate'>,
  change: (letter: StoredDeadLetter) => StoredDeadLetter,
): Mutant {
  return driverMutant({
    ...description,
    layers: () => ({
      deadLetters: (own) => ({
        count: () => own.count(),
        async *list() {
          for await (const letter of own.list()) yield change(letter)
        },
        replay: (ids) => own.replay(ids),
        discard: (ids) => own.discard(ids),
      }),
    }),
  })
}

export const foreignMessages: readonly Mutant[] = [
  letterMutant(
    {
      name: 'forgets what went wrong',
      fault: 'A dead letter does not say what the error was',
      caughtBy: ['271b', '275b'],
    },
    (letter) => {
      const { 'waybill-error-message': _, ...headers } = letter.headers
      return { ...letter, headers }
    },
  ),
  letterMutant(
    {
      name: 'reads bodies as text',
      fault: 'A body goes through UTF-8 on its way to the dead letters',
      caughtBy: ['102b'],
    },
    (letter) => ({ ...letter, body: new TextEncoder().encode(new TextDecoder().decode(letter.body)) }),
  ),
  letterMutant(
    {
      name: 'writes events anew',
      fault: 'An event is parsed and written again on its way to the dead letters',
      caughtBy: ['102a'],
    },
    (letter) => {
      try {
        const event: unknown = JSON.parse(new TextDecoder().decode(letter.body))
        return { ...letter, body: new TextEncoder().encode(JSON.stringify(event)) }
      } catch {
        return letter
      }
    },
  ),
  letterMutant(
    {
      name: 'shortens content types',
      fault: 'A dead letter loses the parameters of its content type',
      caughtBy: ['102a'],
    },
    (letter) => ({ ...letter, contentType: letter.contentType?.split(';')[0] }),
  ),
  driverMutant({
    name: 'copies known headers only',
    fault: 'A retry or dead letter loses the headers that other programs gave it',
    caughtBy: ['102a', '102b'],
    layers: () => ({
      settle: (settlements, forward) =>
        forward(
          settlements.map(({ delivery, verdict }) => {
            if (!('headers' in verdict)) return { delivery, verdict }
            const headers = Object.entries(verdict.headers).filter(([name]) => name.startsWith('waybill-'))
            return { delivery, verdict: { ...verdict, headers: Object.fromEntries(headers) } }
          }),
        ),
    }),
  }),
]
