import { z } from 'zod'
import { type Clock, systemClock } from '../lib/clock.ts'
import { lazily } from '../lib/validation.ts'

/** The option `clock` of middleware: it is made without a bus, and so without the bus's clock. */
export const clockSchema = lazily(() =>
  z
    .custom<Clock>(
      (value) =>
        typeof value === 'object' && value !== null && ['monotonic', 'after'].every((name) => name in value),
      'expected a clock, such as that of a test bus',
    )
    .default(systemClock),
)
