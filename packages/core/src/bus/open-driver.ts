import { z } from 'zod'
import type { Driver, DriverEvent } from '../driver.ts'
import type { MessagingError } from '../lib/errors.ts'
import { requireNode } from '../lib/node-version.ts'
import { functionSchema, lazily, parseOptions } from '../lib/validation.ts'
import { Opening, type OpeningOptions, openingFields } from './opening.ts'

export interface OpenDriverOptions extends OpeningOptions {
  /** Hears what no caller learns from a rejection: connections lost and made, warnings. */
  readonly onEvent?: (event: DriverEvent) => void
  /** An attempt to connect failed, and another follows. */
  readonly onFailure?: (error: MessagingError) => void
}

const openDriverSchema = lazily(() =>
  z.strictObject({
    ...openingFields(),
    onEvent: functionSchema().optional(),
    onFailure: functionSchema().optional(),
  }),
)

/**
 * The driver of a broker by its URL, for tools that see every message as it travels. Keeps trying for `timeout` (10 s) while the
 * broker cannot be reached. The caller keeps the driver contract: it applies topologies, tries again what may be tried again, and
 * closes the driver.
 *
 * @example
 * const driver = await openDriver({ url: 'redis://localhost' })
 * const topics = (await driver.administration.listTopics?.()) ?? []
 * await driver.close()
 *
 * @throws {ConfigurationError} listing every problem of the options.
 * @throws {MessagingError} `adapter-missing`, `adapter-mismatch`, `connection-failed`, `access-denied`, `aborted`.
 */
export async function openDriver(options: OpenDriverOptions): Promise<Driver> {
  requireNode(process.versions.node)
  const parsed = parseOptions(openDriverSchema(), options, 'connect options')
  const { onEvent = () => {}, onFailure = () => {} } = options
  const opening = new Opening(parsed, { emit: onEvent, onFailure: (_, error) => onFailure(error) })
  try {
    return await opening.open()
  } finally {
    opening.end()
  }
}
