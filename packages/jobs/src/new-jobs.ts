import type { StandardSchemaV1 } from '@standard-schema/spec'
import { InvalidMessageError, type MessageDefinition } from '@waybill/core'
import { ConfigurationError, parseOptions, toError } from '@waybill/core/driver'
import { newId, resolveRetry } from '@waybill/core/driver-kit'
import type { NewJob } from './book/new-job.ts'
import { type JobDefinition, requireJob } from './definition.ts'
import { type AddOptions, addSchema, type SendLaterOptions, sendSchema } from './jobs-options.ts'
import { validated } from './validated.ts'

const dayMs = 86_400_000
const keptMs = { completed: 7 * dayMs, failed: 30 * dayMs }

const defaultOptions = addSchema.parse({})

/** How long a message is kept for people, once it was sent. */
const keptMessageMs = dayMs

/**
 * A job as it is to be stored, checked.
 *
 * @throws {InvalidMessageError} with every problem of the data.
 * @throws {ConfigurationError} with every problem of the options.
 */
export async function newJob(definition: JobDefinition, data: unknown, options?: AddOptions) {
  requireJob(definition, 'job')
  const { transaction, id, delay, priority, attempts, deduplicate, removeAfter } =
    options === undefined
      ? defaultOptions
      : parseOptions(addSchema, options, `options of job ${definition.name}`)
  const { settings } = definition
  const keep = removeAfter ?? settings.removeAfter.age
  const job: NewJob = {
    id: id ?? newId(),
    queue: definition.queue,
    name: definition.name,
    data: await dataText(definition, data),
    delayMs: delay,
    priority: priority ?? settings.priority,
    attempts: attempts ?? resolveRetry(settings.retry).attempts,
    keepMs: { completed: keep ?? keptMs.completed, failed: keep ?? keptMs.failed },
    deduplicate: deduplicate && {
      key: JSON.stringify([definition.name, deduplicate.key]),
      mode: deduplicate.mode,
      windowMs: deduplicate.window ?? 0,
    },
  }
  return { transaction, job }
}

/** As it was given: its schema is applied again when the job runs. */
export function dataText({ name, input }: JobDefinition, data: unknown): Promise<string | undefined> {
  return textOf(input, data, `data of job ${name}`)
}

async function textOf(schema: StandardSchemaV1, data: unknown, what: string): Promise<string | undefined> {
  await validated(schema, data, what)
  try {
    return JSON.stringify(data)
  } catch (error) {
    const message = `cannot be written as JSON: ${toError(error).message}`
    throw new InvalidMessageError(what, [{ path: '', message }])
  }
}

/** The queue of messages of a definition that are to be sent later. No queue of jobs has such a name. */
export function queueOfMessages({ topic, type }: MessageDefinition): string {
  return `@${topic.name}/${type}`
}

/**
 * A message that is to be sent later, as a job without a handler.
 *
 * @throws as `newJob`.
 */
export async function newMessage(
  definition: MessageDefinition,
  data: unknown,
  options: SendLaterOptions = {},
) {
  if (typeof definition !== 'object' || definition === null || !('topic' in definition)) {
    const message = 'expected a message made by defineMessage()'
    throw new ConfigurationError('message', [{ path: 'definition', message }])
  }
  const { type, schema } = definition
  const { transaction, id, delay } = parseOptions(sendSchema, options, `options of message ${type}`)
  const job: NewJob = {
    id: id ?? newId(),
    queue: queueOfMessages(definition),
    name: type,
    data: await textOf(schema, data, `data of message ${type}`),
    delayMs: delay,
    priority: 4,
    attempts: 1,
    keepMs: { completed: keptMessageMs, failed: keptMessageMs },
  }
  return { transaction, job }
}
