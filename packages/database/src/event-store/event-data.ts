import { InvalidMessageError, type Issue, type MessageDefinition, MessagingError } from '@waybill/core'
import type { NewEvent, StoredEvent } from './stored-event.ts'

async function issuesOf({ schema }: MessageDefinition, data: unknown, at: string): Promise<readonly Issue[]> {
  const { issues = [] } = await schema['~standard'].validate(data)
  return issues.map(({ path = [], message }) => ({
    path: [at, ...path.map((part) => String(typeof part === 'object' ? part.key : part))].join('.'),
    message,
  }))
}

/**
 * Holds new events against their schemas. They are stored as they were given.
 *
 * @throws {InvalidMessageError} listing every problem.
 */
export async function checkEvents(stream: string, events: readonly NewEvent[]): Promise<void> {
  const issues = await Promise.all(
    events.map(({ definition, data }, index) => issuesOf(definition, data, `${index}.data`)),
  )
  if (issues.flat().length > 0) throw new InvalidMessageError(`events for stream "${stream}"`, issues.flat())
}

/**
 * A stored event by its definition: upcast, and as the schema gives it.
 *
 * @throws {MessagingError} `failed` when no upcast leads to the definition's version, or the data does not fit.
 */
export async function readBy<Output, Type extends string>(
  definition: MessageDefinition<unknown, Output, string, Type>,
  event: StoredEvent,
): Promise<StoredEvent<Output, Type>> {
  const which = `Event ${event.type} ${event.id} of stream "${event.stream}"`
  let { data, version } = event
  while (version < definition.version) {
    const upcast = definition.upcast[version]
    if (upcast === undefined) {
      const what = `${which} is of version ${version}, and its definition has no upcast from there`
      throw new MessagingError('failed', what)
    }
    data = upcast(asRecord(data))
    version += 1
  }
  if (version > definition.version) {
    const what = `${which} is of version ${version}, but its definition only of ${definition.version}`
    throw new MessagingError('failed', `${what}. Deploy the newer definition`)
  }
  const result = await definition.schema['~standard'].validate(data)
  if (result.issues === undefined) return { ...event, type: definition.type, version, data: result.value }
  const issues = await issuesOf(definition, data, 'data')
  const problems = issues.map(({ path, message }) => `\n  - ${path}: ${message}`).join('')
  throw new MessagingError('failed', `${which} does not fit its definition:${problems}`)
}

function asRecord(data: unknown): Record<string, unknown> {
  return typeof data === 'object' && data !== null ? { ...data } : {}
}
