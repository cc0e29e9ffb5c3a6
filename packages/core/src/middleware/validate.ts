import type { StandardSchemaV1 } from '@standard-schema/spec'
import { z } from 'zod'
import { matchesPattern } from '../driver/pattern.ts'
import type { HandlerMiddleware } from '../handling/middleware.ts'
import { PermanentError } from '../lib/errors.ts'
import { lazily, parseOptions } from '../lib/validation.ts'
import { validateData } from '../messages/definition.ts'
import { typeSchema } from '../messages/topic.ts'

const isSchema = (value: unknown): value is StandardSchemaV1 =>
  (typeof value === 'object' || typeof value === 'function') && value !== null && '~standard' in value

const schemasSchema = lazily(() => {
  const schema = z.custom<StandardSchemaV1>(isSchema, 'expected a Standard Schema such as one of zod')
  return z.union([schema.transform((one) => ({ '#': one })), z.record(typeSchema(), schema)], {
    error: 'expected a Standard Schema such as one of zod, or schemas by message type or pattern',
  })
})

/**
 * Holds the data of messages against a schema, or against that of their type: the first type or pattern that fits. For handlers
 * of patterns, whose data is taken as it travelled. What does not fit goes to the dead letters at once, reason `permanent`;
 * types without a schema pass. The data is only looked at: handlers get it as it came.
 *
 * ```ts
 * consumer.use(validate({ 'order.placed': z.object({ total: z.number() }), 'order.*': z.object({ orderId: z.string() }) }))
 * ```
 *
 * @throws {ConfigurationError} when it is given something else than schemas.
 */
export function validate(
  schemas: StandardSchemaV1 | Readonly<Record<string, StandardSchemaV1>>,
): HandlerMiddleware {
  const byPattern = Object.entries(parseOptions(schemasSchema(), schemas, 'validate middleware', 'schemas'))
  return async ({ message }, next) => {
    const schema = byPattern.find(([pattern]) => matchesPattern(pattern, message.type))?.[1]
    if (schema !== undefined) {
      const checked = await validateData(schema, message.data)
      if ('issues' in checked) {
        const list = checked.issues.map(({ path, message: why }) => `${path === '' ? 'data' : path}: ${why}`)
        throw new PermanentError(`The data of ${message.type} does not fit its schema: ${list.join('; ')}`)
      }
    }
    await next()
  }
}
