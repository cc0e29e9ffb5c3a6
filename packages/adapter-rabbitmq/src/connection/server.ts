import { MessagingError } from '@waybill/core/driver'

/** What differs from one version of RabbitMQ to the next, as far as it concerns us. */
export interface Server {
  /** As the broker tells it; undefined when it does not. */
  readonly version: string | undefined
  /** Quorum queues have a default delivery limit, which is to be lifted (RabbitMQ 4.0 release notes). */
  readonly limitsDeliveries: boolean
  /** Quorum queues put messages of a higher priority first, and prefer consumers of a higher one (4.0 release notes). */
  readonly priorities: boolean
  /** Consumers may have a timeout of their own (RabbitMQ documentation, "Consumer Timeouts"). */
  readonly consumerTimeouts: boolean
  /** `x-delivery-count` leaves out what `basic.nack` gives back (4.3 release notes). */
  readonly countsFailuresApart: boolean
}

/** The oldest with dead-lettering that loses nothing (RabbitMQ 3.10 release notes), which delays are made of. */
const oldest = { major: 3, minor: 10 }

/** An unknown version counts as the newest. */
export function describeServer(version: unknown): Server {
  return {
    version: typeof version === 'string' ? version : undefined,
    limitsDeliveries: isAtLeast(version, 4, 0),
    priorities: isAtLeast(version, 4, 0),
    consumerTimeouts: isAtLeast(version, 4, 3),
    countsFailuresApart: isAtLeast(version, 4, 3),
  }
}

/** @throws {MessagingError} `unsupported`, naming what is there and what is needed. */
export function requireSupported(product: unknown, version: unknown): void {
  if (typeof product === 'string' && product !== 'RabbitMQ') {
    throw new MessagingError(
      'unsupported',
      `The broker is ${product}, not RabbitMQ: Waybill needs RabbitMQ's quorum queues`,
    )
  }
  if (isAtLeast(version, oldest.major, oldest.minor)) return
  throw new MessagingError(
    'unsupported',
    `The broker is RabbitMQ ${version}; Waybill needs ${oldest.major}.${oldest.minor} or later, because earlier quorum queues have no message TTL and may lose what they dead-letter`,
  )
}

function isAtLeast(version: unknown, major: number, minor: number): boolean {
  const parts = typeof version === 'string' ? /^(\d+)\.(\d+)/.exec(version) : null
  if (parts === null) return true
  const [theirMajor, theirMinor] = [Number(parts[1]), Number(parts[2])]
  return theirMajor > major || (theirMajor === major && theirMinor >= minor)
}
