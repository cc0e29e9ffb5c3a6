import { hash } from 'node:crypto'
import { z } from 'zod'
import { headerNames } from '../driver/transport-headers.ts'
import type { StoredDeadLetter } from '../driver.ts'
import type { BodyReader } from '../encoding/body-reader.ts'
import { writeMessage } from '../encoding/body-writer.ts'
import type { Formats } from '../encoding/formats.ts'
import { InvalidMessageError, MessagingError, toError } from '../lib/errors.ts'
import { lazily } from '../lib/validation.ts'
import { contentTypeIn } from '../messages/cloud-events.ts'
import { isDefinition, type MessageDefinition } from '../messages/definition.ts'
import type { Message, Writable } from '../messages/message.ts'
import type { Topic } from '../messages/topic.ts'
import { checkData } from '../sending/prepare-message.ts'
import { under } from '../sending/send-options.ts'
import { definitionOfStored } from '../sending/send-stored.ts'

/** What a letter is replayed with instead: other data in the same message, or another body as it is. */
export type LetterChange =
  | {
      /** Of the message, in the version of its definition if that is among `definitions`, else in its own. */
      readonly data: unknown
      /** The data is checked against the one of the letter's topic and type; if there is none, it is taken as it is. */
      readonly definitions?: readonly MessageDefinition[]
    }
  | {
      /** Taken as it is; text as UTF-8. */
      readonly body: Uint8Array | string
      /** Default: as before. */
      readonly contentType?: string
    }

export const changeSchema = lazily(() =>
  z.union(
    [
      z
        .strictObject({
          data: z.unknown(),
          definitions: z
            .array(z.custom<MessageDefinition>(isDefinition, 'expected messages made by defineMessage()'))
            .default([]),
        })
        .refine((change) => 'data' in change, 'expected data'),
      z.strictObject({
        body: z.union([z.instanceof(Uint8Array), z.string()]),
        contentType: z.string().min(1).optional(),
      }),
    ],
    'expected { data }, with definitions or without, or { body }, with contentType or without',
  ),
)

export type ParsedChange = z.output<ReturnType<typeof changeSchema>>

export interface EditContext {
  readonly topic: Topic
  readonly reader: BodyReader
  readonly formats: Formats
}

const editMark = '-edit-'

/** Whether the letter was made by an edit of that letter, which may have been cut short. */
export function isEditOf(id: string, letter: StoredDeadLetter): boolean {
  return letter.id.startsWith(`${id}${editMark}`)
}

/**
 * The letter with the change, under an id that tells of which it is an edit, and is the same for the same bytes.
 *
 * @throws {InvalidMessageError} when the data does not fit its definition or cannot be written.
 */
export async function editedLetter(
  id: string,
  source: StoredDeadLetter,
  change: ParsedChange,
  context: EditContext,
): Promise<StoredDeadLetter> {
  const changed = 'body' in change ? withBody(source, change) : await withData(source, change, context)
  const digest = hash('sha256', Buffer.concat([Buffer.from(`${changed.contentType}\n`), changed.body]))
  const editedId = `${id}${editMark}${digest.slice(0, 12)}`
  return {
    ...changed,
    id: editedId,
    headers: { ...changed.headers, [headerNames.deadLetterId]: editedId },
  }
}

/** A body given as it is went through no stage. */
function withBody(
  { headers, contentType, ...source }: StoredDeadLetter,
  change: Extract<ParsedChange, { body: unknown }>,
): StoredDeadLetter {
  const { [headerNames.stages]: _, [headerNames.contentType]: before, ...others } = headers
  const { body } = change
  return {
    ...source,
    headers: others,
    contentType: change.contentType ?? before ?? contentType ?? contentTypeIn(headers),
    body: typeof body === 'string' ? Buffer.from(body, 'utf8') : body,
  }
}

async function withData(
  source: StoredDeadLetter,
  { data, definitions }: Extract<ParsedChange, { definitions: unknown }>,
  { topic, reader, formats }: EditContext,
): Promise<StoredDeadLetter> {
  const message = await readMessage(source, reader)
  const known = definitions.find((each) => each.topic.name === topic.name && each.type === message.type)
  const definition = known ?? definitionOfStored(topic, message.type, message.version, undefined)
  if (known !== undefined) formats.learn(known)
  const checked = await checkData(definition, data)
  if ('issues' in checked)
    throw new InvalidMessageError(`message ${message.type}`, under('data', checked.issues))
  const changed: Writable<Message> = { ...message, version: definition.version, data }
  const key = known?.key?.(checked.value) ?? message.key
  if (key !== undefined) changed.key = key
  const written = await writeMessage(definition, formats.forSending(definition), changed, data)
  return {
    id: source.id,
    key: key ?? source.key,
    body: written.body,
    contentType: written.contentType,
    headers: {
      ...recordOf(source.headers),
      ...Object.fromEntries(Object.entries(written.attributes).map(([name, value]) => [`ce-${name}`, value])),
      ...written.headers,
    },
  }
}

async function readMessage(source: StoredDeadLetter, reader: BodyReader): Promise<Message> {
  try {
    return await reader.read(source, 0)
  } catch (error) {
    // A store or a registry is away: it may be read later.
    if (MessagingError.is(error) && error.retryable) throw error
    const why = `the letter cannot be decoded, so its data cannot be changed; give a whole body instead: ${toError(error).message}`
    throw new InvalidMessageError(`change of dead letter ${source.id}`, [{ path: 'data', message: why }])
  }
}

/** Waybill's own headers, but for what was done to the old body. The user's own are written anew with the message. */
function recordOf(headers: StoredDeadLetter['headers']): Record<string, string> {
  const { [headerNames.stages]: _, [headerNames.contentType]: __, ...others } = headers
  return Object.fromEntries(Object.entries(others).filter(([name]) => name.startsWith('waybill-')))
}
