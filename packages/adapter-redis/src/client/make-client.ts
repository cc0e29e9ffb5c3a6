import { Cluster, Redis } from 'ioredis'
import type { RedisCredentials, RedisSettings } from '../options.ts'

/** ioredis, of one server (found by Sentinel or not) or of a cluster. */
export type Client = Redis | Cluster

/**
 * A client that is not connected yet. It never connects again by itself, never sends a command twice and never queues one
 * while there is no connection: whether a send may be repeated is for core to decide.
 */
export async function makeClient(settings: RedisSettings, name: string): Promise<Client> {
  const { hosts, tls, sentinel, cluster, natMap, dnsLookup } = settings
  const { username, password } = await credentialsOf(settings)
  const options = {
    lazyConnect: true,
    retryStrategy: () => null,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: null,
    // Asks the server for its role, which only matters where Sentinels may be behind the times.
    enableReadyCheck: sentinel !== undefined,
    connectTimeout: settings.connectTimeout,
    socketTimeout: settings.requestTimeout,
    // How long a server has to close its side before the socket is destroyed.
    disconnectTimeout: 200,
    // The replies are the same in RESP2, which every server and proxy speaks, without the HELLO of RESP3.
    protocol: 2 as const,
    disableClientInfo: true,
    connectionName: name,
    // Never the URL's database: ioredis goes on in database 0 when SELECT is refused. `Connection` selects it.
    db: 0,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls !== undefined && { tls }),
  }
  if (cluster) {
    return new Cluster([...hosts], {
      lazyConnect: true,
      clusterRetryStrategy: () => null,
      // Nodes connect at their first command, and those that follow it would fail at once.
      enableOfflineQueue: true,
      // 0: commands whose connection was lost are not sent again (ioredis, ClusterOptions).
      retryDelayOnFailover: 0,
      slotsRefreshTimeout: settings.connectTimeout,
      redisOptions: options,
      ...(natMap !== undefined && { natMap }),
      ...(dnsLookup === undefined
        ? // Certificates bear names, so the names are used to connect.
          tls !== undefined && { dnsLookup: (host, found) => found(null, host) }
        : {
            dnsLookup: (host, found) =>
              void dnsLookup(host).then(
                (address) => found(null, address),
                (error) => found(error instanceof Error ? error : new Error(String(error)), ''),
              ),
          }),
    })
  }
  const [first = { host: 'localhost', port: 6379 }] = hosts
  if (sentinel === undefined) {
    const address = dnsLookup === undefined ? first.host : await dnsLookup(first.host)
    const named = tls !== undefined && address !== first.host && { tls: { servername: first.host, ...tls } }
    return new Redis({ ...options, ...named, host: address, port: first.port })
  }
  return new Redis({
    ...options,
    sentinels: [...hosts],
    name: sentinel.name,
    sentinelRetryStrategy: () => null,
    sentinelReconnectStrategy: () => null,
    enableTLSForSentinelMode: tls !== undefined,
    ...(sentinel.username !== undefined && { sentinelUsername: sentinel.username }),
    ...(sentinel.password !== undefined && { sentinelPassword: sentinel.password }),
    ...(sentinel.tls && { sentinelTLS: tls ?? {} }),
    ...(natMap !== undefined && { natMap }),
  })
}

function credentialsOf({ credentials, username, password }: RedisSettings): Promise<RedisCredentials> {
  return credentials === undefined ? Promise.resolve({ username, password }) : credentials()
}
