import type { StandardSchemaV1 } from '@standard-schema/spec'
import { z } from 'zod'
import type { RequestFailure } from '../lib/errors.ts'
import { lazily } from '../lib/validation.ts'
import type { BodyFormat } from '../messages/body-format.ts'
import type { MessageDefinition } from '../messages/definition.ts'
import { defineTopic, type Topic } from '../messages/topic.ts'

/** The topic of all replies, unless `connect` is given another. */
export const usualReplyTopic = lazily(() => defineTopic('waybill-replies'))

/** What a reply is, in the metadata beside its data; its `causationId` is the request's id. */
export const outcomeName = 'outcome'
export type ReplyOutcome = 'replied' | 'failed'

/** The type of what is sent to one inbox. */
export function replyType(inbox: string): string {
  return `reply.${inbox}`
}

// What a reply is depends on the request: each side holds it against the schema of its definition.
const anything: StandardSchemaV1 = {
  '~standard': { version: 1, vendor: 'waybill', validate: (value) => ({ value }) },
}

/**
 * The bodies of replies: CloudEvents, since a codec may be made for the data of one topic, and through the stages of the
 * request, so that what is encrypted on its way there is encrypted on its way back.
 */
function formatOf(request: MessageDefinition | undefined): BodyFormat {
  return { codecs: [], stages: request?.format?.stages ?? request?.topic.format?.stages }
}

/** The definitions of replies. Few live long: what is remembered goes by the request's definition. */
export class ReplyMessages {
  readonly topic: Topic
  readonly #formats = new WeakMap<MessageDefinition, BodyFormat>()
  readonly #plain = formatOf(undefined)

  constructor(topic: Topic) {
    this.topic = topic
  }

  to(inbox: string, request: MessageDefinition | undefined): MessageDefinition {
    const type = replyType(inbox)
    return {
      topic: this.topic,
      type,
      version: 1,
      upcast: {},
      schema: anything,
      format: this.#format(request),
    }
  }

  #format(request: MessageDefinition | undefined): BodyFormat {
    if (request === undefined) return this.#plain
    const format = this.#formats.get(request) ?? formatOf(request)
    this.#formats.set(request, format)
    return format
  }
}

const failureSchema = lazily(() =>
  z.object({
    reason: z.string(),
    group: z.string().optional(),
    error: z.object({ name: z.string(), message: z.string() }).optional(),
  }),
)

/** What was sent as a failure; undefined when it is something else. */
export function readFailure(data: unknown): RequestFailure | undefined {
  const { success, data: read } = failureSchema().safeParse(data)
  if (!success) return undefined
  const { reason, group, error } = read
  return { reason, ...(group !== undefined && { group }), ...(error !== undefined && { error }) }
}
