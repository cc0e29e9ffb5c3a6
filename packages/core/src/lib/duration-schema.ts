import { z } from 'zod'
import { type Duration, durationHint, parseDuration, toMilliseconds } from './duration.ts'
import { lazily } from './validation.ts'

/** A duration as users write it. Defaults of the two below go before them: `millisecondsSchema().prefault('30s')`. */
export const durationSchema = lazily(() =>
  z.custom<Duration>((value) => parseDuration(value) !== undefined, durationHint),
)

/** A duration, in milliseconds. */
export const millisecondsSchema = lazily(() => durationSchema().transform((value) => toMilliseconds(value)))

/** A duration above 0, in milliseconds. */
export const someMillisecondsSchema = lazily(() =>
  millisecondsSchema().refine((value) => value > 0, 'expected more than 0'),
)
