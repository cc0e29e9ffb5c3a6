import { z } from 'zod'
import { lazily, parseOptions } from '../lib/validation.ts'
import type { Codec, DecodedMessage } from '../messages/codec.ts'
import { typeSchema } from '../messages/topic.ts'
import { isObject, type JsonObject, objectIn, textOf, timeOf } from './json-body.ts'

export interface S3EventsOptions {
  /** The type of notifications. Default: `s3.notification`. */
  readonly type?: string
  /** The type of the test event that S3 sends when notifications are configured. Default: `s3.test`. */
  readonly testType?: string
}

const optionsSchema = lazily(() =>
  z.strictObject({
    type: typeSchema().default('s3.notification'),
    testType: typeSchema().default('s3.test'),
  }),
)

/**
 * The event notifications of S3 (Amazon S3 documentation, "Event message structure"). A notification is one message, with all
 * its records, whatever their events, in `data.Records`; the keys of objects are decoded. Only for reading.
 *
 * ```ts
 * const uploads = defineTopic('uploads', { codec: [s3Events(), snsNotification()] })
 * const Uploaded = defineMessage(uploads, 's3.notification', { schema: z.object({ Records: z.array(record) }) })
 * ```
 *
 * @throws {ConfigurationError} when the options are wrong.
 */
export function s3Events(options: S3EventsOptions = {}): Codec {
  const { type, testType } = parseOptions(optionsSchema(), options, 's3Events options')
  return {
    name: 's3Events',
    decode: (wire) => {
      const body = objectIn(wire)
      if (body === undefined) return undefined
      if (body.Event === 's3:TestEvent') return test(body, testType)
      const { Records: records } = body
      if (!Array.isArray(records) || records.length === 0 || !records.every(isRecord)) return undefined
      return notification(body, records, type)
    },
  }
}

function isRecord(record: unknown): record is JsonObject & { readonly s3: JsonObject } {
  if (!isObject(record) || !isObject(record.s3)) return false
  // Other servers have another name before the colon: minio:s3, ceph:s3.
  return typeof record.eventSource === 'string' && /^[\w-]+:s3$/.test(record.eventSource)
}

function test(body: JsonObject, type: string): DecodedMessage {
  return {
    type,
    data: body,
    id: textOf(body.RequestId, 'RequestId'),
    source: sourceOf(body.Bucket),
    time: timeOf(body.Time, 'Time'),
  }
}

function notification(
  body: JsonObject,
  records: readonly (JsonObject & { readonly s3: JsonObject })[],
  type: string,
): DecodedMessage {
  const buckets = new Set(records.map(({ s3 }) => (isObject(s3.bucket) ? s3.bucket.name : undefined)))
  return {
    type,
    data: { ...body, Records: records.map((record) => ({ ...record, s3: withDecodedKey(record.s3) })) },
    source: buckets.size === 1 ? sourceOf([...buckets][0]) : undefined,
    time: timeOf(records[0]?.eventTime, 'eventTime'),
  }
}

function sourceOf(bucket: unknown): string | undefined {
  return typeof bucket === 'string' && bucket !== '' ? `arn:aws:s3:::${bucket}` : undefined
}

/** Keys come URL-encoded, a space as `+`. */
function withDecodedKey(s3: JsonObject): JsonObject {
  const { object } = s3
  if (!isObject(object) || typeof object.key !== 'string') return s3
  try {
    return { ...s3, object: { ...object, key: decodeURIComponent(object.key.replaceAll('+', ' ')) } }
  } catch {
    return s3
  }
}
