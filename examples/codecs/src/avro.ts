import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'
import { MessagingError } from '@waybill/core'
import type { Codec, WireMessage } from '@waybill/core/codecs'

/** An Avro record. Its full name, `shop.OrderPlaced`, tells readers the type. */
export interface AvroRecord {
  readonly type: 'record'
  readonly name: string
  readonly namespace: string
  readonly fields: readonly { readonly name: string; readonly type: unknown }[]
}

export interface AvroOptions {
  /** Of a Confluent Schema Registry. */
  readonly registryUrl: string
  /** By message type. */
  readonly records: Readonly<Record<string, AvroRecord>>
}

const contentType = 'avro/binary'
// Confluent documentation, "Wire format": a zero byte, the schema's id in 4 bytes, the data.
const headBytes = 5

/**
 * Avro as Confluent's serializers write it: each body names the schema that it was written with, and readers get that from the
 * registry. Schemas are registered when they are first sent.
 */
export function avro({ registryUrl, records }: AvroOptions): Codec {
  // Core tries again itself, with backoff, while messages stay in hand.
  const registry = new SchemaRegistry({ host: registryUrl, retry: { retries: 0 } })
  const recordOf = new Map(Object.entries(records))
  const typeOf = new Map(Object.entries(records).map(([type, record]) => [fullNameOf(record), type]))
  const ids = new Map<string, Promise<number>>()

  async function register(record: AvroRecord): Promise<number> {
    const schema = { type: SchemaType.AVRO, schema: JSON.stringify(record) } as const
    const { id } = await asked(registry.register(schema, { subject: `${fullNameOf(record)}-value` }))
    return id
  }

  function idFor(type: string): Promise<number> {
    const record = recordOf.get(type)
    if (record === undefined) throw new Error(`there is no Avro record for ${type}`)
    const id = ids.get(type) ?? register(record)
    ids.set(type, id)
    // What failed is tried again next time.
    id.catch(() => ids.delete(type))
    return id
  }

  return {
    name: 'avro',
    // Bytes and long integers, which JSON does not have.
    carriesAnyData: true,
    async encode({ type, data }) {
      return { body: await registry.encode(await idFor(type), data), contentType }
    },
    async decode(message) {
      if (!isConfluent(message)) return undefined
      const body = Buffer.from(message.body)
      const schema = await asked(registry.getSchema(body.readUInt32BE(1)))
      const name = 'name' in schema && typeof schema.name === 'string' ? schema.name : ''
      return { type: typeOf.get(name) ?? name, data: plain(await registry.decode(body)) }
    },
  }
}

function isConfluent({ body, contentType: type }: WireMessage): boolean {
  const isUnsaid = type === undefined || type === 'application/octet-stream'
  return (isUnsaid || type === contentType) && body.byteLength >= headBytes && body[0] === 0
}

function fullNameOf({ namespace, name }: AvroRecord): string {
  return `${namespace}.${name}`
}

/** The library gives objects of classes of its own, whose methods a schema would take for fields. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || value instanceof Date)
    return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]))
}

/** A registry that is away says nothing about the message, which is tried again. One that knows no such schema does. */
async function asked<Answer>(answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer
  } catch (error) {
    const status: unknown =
      typeof error === 'object' && error !== null ? Reflect.get(error, 'status') : undefined
    if (typeof status === 'number' && status >= 400 && status < 500 && status !== 429) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new MessagingError('disconnected', `The schema registry does not answer: ${why}`, {
      retryable: true,
      fate: 'not-sent',
      cause: error,
    })
  }
}
