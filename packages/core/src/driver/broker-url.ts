import { ConfigurationError } from '../lib/errors.ts'

/** A broker's address in parts. Unlike the web's URL it may name several hosts. */
export interface BrokerUrl {
  /** Lower case, without the colon: `amqp`, `kafka`, `sqs+http`. */
  readonly scheme: string
  readonly username: string | undefined
  readonly password: string | undefined
  /** In the order given; `port` is undefined where the URL has none. */
  readonly hosts: readonly { readonly host: string; readonly port: number | undefined }[]
  /** Decoded, without the leading slash; undefined where the URL has no path. For `memory:NAME` the name. */
  readonly path: string | undefined
  readonly query: Readonly<Record<string, string>>
}

const shape =
  /^(?<scheme>[a-z][a-z0-9+.-]*):(?:\/\/(?:(?<user>[^:@/?#]*)(?::(?<password>[^@/?#]*))?@)?(?<hosts>[^/?#]*))?(?<path>[^?#]*)(?:\?(?<query>[^#]*))?$/i

const hostShape = /^(?<host>\[[0-9a-f:.]+\]|[^:[\]]+)(?::(?<port>\d{1,5}))?$/i

/**
 * Takes `scheme://user:password@host:port,host:port/path?option=value` apart.
 *
 * @example
 * const { scheme, hosts, query } = parseBrokerUrl('amqps://app:secret@one,two:5672/shop?heartbeat=10')
 * // scheme 'amqps'; hosts [{ host: 'one', port: undefined }, { host: 'two', port: 5672 }]; query { heartbeat: '10' }
 *
 * @throws {ConfigurationError} when it does not have that form. The message never repeats the password.
 */
export function parseBrokerUrl(text: string): BrokerUrl {
  const groups = shape.exec(text)?.groups
  const fail = (message: string) => new ConfigurationError('URL', [{ path: 'url', message }])
  // An "@" that ended up elsewhere comes from a password that was pasted as it is, and so would be in the message.
  const hasStrayAt = groups?.user === undefined ? text.includes('@') : groups.hosts?.includes('@')
  if (hasStrayAt) {
    throw fail(
      'user, password, path and query need percent-encoding: write @ as %40, / as %2F, : as %3A, # as %23',
    )
  }
  if (groups?.scheme === undefined) {
    throw fail('expected scheme://user:password@host:port/path, such as amqp://localhost, or memory:')
  }
  const hosts = (groups.hosts ?? '').split(',').filter((part) => part !== '')
  const decode = (part: string | undefined) => {
    try {
      return part === undefined ? undefined : decodeURIComponent(part)
    } catch {
      throw fail('the user, password or path has a broken percent escape')
    }
  }
  const path = groups.hosts === undefined ? groups.path : groups.path?.slice(1)
  const query = new URLSearchParams(groups.query ?? '')
  const names = [...query.keys()]
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw fail(`the query has ${twice} twice; give it once`)
  return {
    scheme: groups.scheme.toLowerCase(),
    username: groups.user === '' ? undefined : decode(groups.user),
    password: decode(groups.password),
    hosts: hosts.map((part) => {
      const match = hostShape.exec(part)?.groups
      const port = match?.port === undefined ? undefined : Number(match.port)
      if (match?.host === undefined || (port !== undefined && (port < 1 || port > 65_535))) {
        throw fail(`"${part}" is not host or host:port`)
      }
      return { host: match.host.replace(/^\[|\]$/g, ''), port }
    }),
    path: path === undefined || path === '' ? undefined : decode(path),
    query: Object.fromEntries(query),
  }
}
