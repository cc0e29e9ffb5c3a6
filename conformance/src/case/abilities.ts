import type { Harness } from '../harness.ts'

interface AbilityDefinition {
  has(harness: Harness): boolean
  /** What a skipped case prints. */
  readonly missing: string
}

/** What a case may need of a harness beyond a connection. */
export const abilities = {
  processes: {
    has: (harness) => harness.sharedByProcesses,
    missing: 'no other process can reach this broker',
  },
  severalGroups: {
    has: (harness) => harness.severalGroups !== false,
    missing: 'the broker serves only topics with exactly one declared group',
  },
  restart: {
    has: (harness) => harness.broker !== undefined,
    missing: 'the harness cannot restart the broker',
  },
  proxy: {
    has: (harness) => harness.openProxy !== undefined,
    missing: 'there is no connection that could be cut',
  },
  publishRaw: {
    has: (harness) => harness.inspect?.publishRaw !== undefined,
    missing: 'the harness cannot publish past the SDK',
  },
  rawMessages: {
    has: (harness) => harness.inspect?.rawMessages !== undefined,
    missing: 'the harness cannot read past the SDK',
  },
  unsettled: {
    has: (harness) => harness.inspect?.unsettled !== undefined,
    missing: 'the broker does not tell what is unsettled',
  },
  breakSubscription: {
    has: (harness) => harness.inspect?.breakSubscription !== undefined,
    missing: 'the harness cannot end a subscription from outside',
  },
  failDeadLetterWrites: {
    has: (harness) => harness.inspect?.failDeadLetterWrites !== undefined,
    missing: 'the broker cannot be made to refuse dead letters',
  },
  connectionCount: {
    has: (harness) => harness.inspect?.connectionCount !== undefined,
    missing: 'the broker has no connections to count',
  },
  loweredDelay: {
    has: (harness) => harness.lowered?.delay !== undefined,
    missing: 'the broker has no limit on delays',
  },
  wrongCredentials: {
    has: (harness) => harness.wrong?.credentials !== undefined,
    missing: 'the broker of this harness asks for no credentials',
  },
  wrongRights: {
    has: (harness) => harness.wrong?.rights !== undefined,
    missing: 'the broker of this harness gives everybody all rights',
  },
  wrongAddress: {
    has: (harness) => harness.wrong?.address !== undefined,
    missing: 'there is no address to be wrong about',
  },
  wrongTls: {
    has: (harness) => harness.wrong?.tls !== undefined,
    missing: 'there is no connection that could use TLS',
  },
} satisfies Record<string, AbilityDefinition>

export type Ability = keyof typeof abilities
