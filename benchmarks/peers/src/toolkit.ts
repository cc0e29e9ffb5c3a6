import type { ErrorResolver } from '@lokalise/node-core'
import { InternalError } from '@lokalise/node-core'
import { z } from 'zod'
import type { BenchmarkEvent } from '../../src/event.ts'
import { eventSchema } from '../../src/event-schema.ts'

const silent = () => undefined

/** What every publisher and consumer of message-queue-toolkit asks for; here it says nothing but errors. */
export const toolkitDependencies = {
  logger: {
    level: 'error',
    msgPrefix: '',
    silent,
    trace: silent,
    debug: silent,
    info: silent,
    warn: silent,
    error: console.error,
    fatal: console.error,
    isLevelEnabled: () => false,
    child: () => toolkitDependencies.logger,
  },
  errorReporter: { report: console.error },
  consumerErrorResolver: {
    processError: (error: unknown) =>
      new InternalError({ message: String(error), errorCode: 'BENCHMARK', cause: error }),
  } satisfies ErrorResolver,
  transactionObservabilityManager: {
    start: silent,
    startWithGroup: silent,
    stop: silent,
    addCustomAttributes: silent,
  },
}

/** The event, with the fields that message-queue-toolkit looks for. */
export const toolkitSchema = z.object({
  id: z.string(),
  type: z.literal('benchmark.event'),
  timestamp: z.string(),
  event: eventSchema,
})

export type ToolkitMessage = z.infer<typeof toolkitSchema>

export function toToolkitMessage(event: BenchmarkEvent): ToolkitMessage {
  return {
    id: String(event.sequence),
    type: 'benchmark.event',
    timestamp: new Date().toISOString(),
    event,
  }
}
