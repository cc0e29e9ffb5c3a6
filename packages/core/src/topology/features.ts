import type { Driver, Feature } from '../driver.ts'
import { MessagingError } from '../lib/errors.ts'

/** What to do instead, for each feature that a driver may lack. */
const alternatives: Readonly<Record<Feature, string>> = {
  ordered: 'use a topic that is not ordered, with one consumer of concurrency 1',
  delay: 'send it later from your own scheduler',
  durableRetry: 'let handlers try again themselves, and keep what must survive a crash in your own database',
  release: 'let the handler throw, so that the message comes back by the retry policy',
  yieldsKeys: 'let all consumers of an ordered group handle the same types',
  deadLetters: 'use a consumer with broadcast, or another broker',
  stats: "ask the broker's own tools",
  changesFilters: 'give a new set of types a group of its own',
  keepsDeliveries: 'expect what a consumer has in hand to come again when its connection is lost',
  priority: 'use a topic for each priority, and a consumer for each',
  broadcast: 'give each instance a group of its own',
  replay: "start the group with from: 'latest', and declare it on its topic so that messages are kept for it",
  seek: 'send the messages again, or replay dead letters',
  lease: 'rely on the connection: what its consumer held comes back when it is gone',
  countsCrashes: 'bound attempts by the retry policy alone',
}

export const features = Object.keys(alternatives) as readonly Feature[]

/** @throws {MessagingError} `unsupported`, naming the feature, the driver and the nearest alternative. */
export function requireFeature(
  driver: Pick<Driver, 'name' | 'capabilities'>,
  feature: Feature,
  what: string,
  instead: string = alternatives[feature],
): void {
  if (driver.capabilities[feature]) return
  throw new MessagingError(
    'unsupported',
    `${what} needs the feature "${feature}", which the ${driver.name} driver does not have. Instead: ${instead}`,
  )
}
