/** Middleware that people expect, ready-made: for `bus.use({ handle })` and `consumer.use`. */
export type { HandlerMiddleware } from './handling/middleware.ts'
export { type DeduplicateOptions, deduplicate, type SeenStore } from './middleware/deduplicate.ts'
export { type Logger, type LogLevel, type LogOptions, log } from './middleware/log.ts'
export { type ThrottleOptions, throttle } from './middleware/throttle.ts'
export { type TimeoutOptions, timeout } from './middleware/timeout.ts'
export { validate } from './middleware/validate.ts'
