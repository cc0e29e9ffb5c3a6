import { headerNames } from '../driver/transport-headers.ts'
import { matchesPattern, type OutboundMessage } from '../driver.ts'
import { andThen, failingWith } from '../lib/and-then.ts'
import { InvalidMessageError, MessagingError, toError } from '../lib/errors.ts'
import { attributesOf, encodeMessage, isStructured } from '../messages/cloud-events.ts'
import type { Codec, EncodedMessage } from '../messages/codec.ts'
import type { MessageDefinition } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import type { OutgoingBody, Stage, StagedBody } from '../messages/stage.ts'
import { undecoded } from '../messages/undecoded-codec.ts'
import { type UndecodedMessage, writtenOf } from '../messages/undecoded-message.ts'
import type { SendingFormat } from './formats.ts'
import { type AppliedStage, formatStages } from './stage-record.ts'

/** What a body that went through stages is for those who do not know them. */
const stagedType = 'application/octet-stream'

/** What of a message travels. */
export type Written = Pick<OutboundMessage, 'body' | 'contentType' | 'attributes' | 'headers'>

/** A message as it travels: encoded, then through the stages. Synchronous when codec and stages are. */
export function writeMessage(
  definition: MessageDefinition,
  { codec, stages }: SendingFormat,
  message: Message,
  data: unknown,
): Written | Promise<Written> {
  if (codec === undecoded) return writtenOf(data as UndecodedMessage)
  const encoded = codec === undefined ? structured(message, data) : encodedBy(codec, message, data)
  if (stages.length === 0) return encoded
  return andThen(encoded, (whole) => staged(definition, stages, message, whole))
}

function structured(message: Message, data: unknown): Written {
  try {
    return encodeMessage(message, data)
  } catch (error) {
    throw invalid(message, `cannot be written as JSON: ${toError(error).message}`)
  }
}

function invalid({ type }: Message, problem: string): InvalidMessageError {
  return new InvalidMessageError(`message ${type}`, [{ path: 'data', message: problem }])
}

function encodedBy(codec: Codec, message: Message, data: unknown): Written | Promise<Written> {
  const failed = (error: unknown) =>
    MessagingError.is(error)
      ? error
      : invalid(message, `the codec ${codec.name} cannot encode it: ${toError(error).message}`)
  const encoded = failingWith(failed, () => codec.encode?.({ ...message, data }))
  return andThen(encoded, (whole) => {
    if (!(whole?.body instanceof Uint8Array) || typeof whole.contentType !== 'string') {
      throw invalid(message, `the codec ${codec.name} returned no body with a content type`)
    }
    return withAttributes(message, whole)
  })
}

function withAttributes(message: Message, { body, contentType, headers }: EncodedMessage): Written {
  const { attributes, headers: own } = attributesOf(
    message,
    isStructured(contentType) ? 'application/json' : contentType,
  )
  return { body, contentType, attributes, headers: headers === undefined ? own : { ...own, ...headers } }
}

async function staged(
  { topic }: MessageDefinition,
  stages: readonly Stage[],
  { type, id }: Message,
  written: Written,
): Promise<Written> {
  const groups = topic.groups.filter(({ types }) => types.some((pattern) => matchesPattern(pattern, type)))
  const about: OutgoingBody = {
    topic: topic.name,
    groups: groups.map(({ name }) => name),
    type,
    id,
    contentType: written.contentType,
  }
  const applied: AppliedStage[] = []
  let { body } = written
  for (const stage of stages) {
    const result = await applyStage(stage, body, about)
    if (result === undefined) continue
    body = result.body
    applied.push({ name: stage.name, note: result.note ?? '' })
  }
  if (applied.length === 0) return written
  return {
    body,
    contentType: stagedType,
    attributes: written.attributes,
    headers: {
      ...written.headers,
      [headerNames.stages]: formatStages(applied),
      [headerNames.contentType]: written.contentType,
    },
  }
}

async function applyStage(
  stage: Stage,
  body: Uint8Array,
  about: OutgoingBody,
): Promise<StagedBody | undefined> {
  try {
    return await stage.apply(body, about)
  } catch (error) {
    if (MessagingError.is(error)) throw error
    const what = `The stage ${stage.name} failed for message ${about.type} ${about.id}`
    throw new MessagingError('failed', `${what}: ${toError(error).message}. Nothing was sent`, {
      cause: error,
      fate: 'not-sent',
    })
  }
}
