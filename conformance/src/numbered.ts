import { defineMessage, type MessageDefinition, type Topic } from '@waybill/core'
import { z } from 'zod'

const numberedSchema = z.object({ n: z.number(), key: z.string().optional() })

/** What most cases send: a number, and on ordered topics the key it belongs to. */
export type Numbered = z.output<typeof numberedSchema>

export function numbered(topic: Topic, type = 'number.sent'): MessageDefinition<Numbered, Numbered> {
  const schema = numberedSchema
  if (!topic.ordered) return defineMessage(topic, type, { schema })
  return defineMessage(topic, type, { schema, key: (data) => data.key ?? 'only' })
}

/** The number of a message; `NaN` when it has none. */
export function numberOf(message: { readonly data: unknown }): number {
  const parsed = numberedSchema.safeParse(message.data)
  return parsed.success ? parsed.data.n : Number.NaN
}

/** The number in a body as it is sent. */
export function numberInBody(body: Uint8Array): number {
  try {
    const event: unknown = JSON.parse(new TextDecoder().decode(body))
    return numberOf(z.object({ data: z.unknown() }).parse(event))
  } catch {
    return Number.NaN
  }
}
