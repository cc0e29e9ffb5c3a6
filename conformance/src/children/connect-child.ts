import { type Bus, connect, defineTopic, type Topic } from '@waybill/core'
import type { Adapter } from '@waybill/core/driver'
import { z } from 'zod'
import type { ChildReport, connectionSchema, topicSchema } from './protocol.ts'

const adapterModuleSchema = z.object({
  adapter: z.custom<Adapter>((value) => typeof value === 'object' && value !== null && 'connect' in value),
})

/** How long it may take to connect is for the parent to say, which waits for it. */
const timeout = 'forever'

/** A bus as the parent's harness has it. */
export async function connectChild({
  url,
  native,
  adapterModule,
}: z.output<typeof connectionSchema>): Promise<Bus> {
  const adapter =
    adapterModule === undefined ? undefined : adapterModuleSchema.parse(await import(adapterModule)).adapter
  return connect({ url, timeout, console: false, ...(native && { native }), ...(adapter && { adapter }) })
}

export function toTopic({ name, ...options }: z.output<typeof topicSchema>): Topic {
  return defineTopic(name, options)
}

/** The parent's settings, the first argument of the program. */
export function settingsOf<Schema extends z.ZodType>(schema: Schema): z.output<Schema> {
  return schema.parse(JSON.parse(process.argv[2] ?? 'null'))
}

export function report(document: ChildReport): void {
  process.stdout.write(`${JSON.stringify(document)}\n`)
}
