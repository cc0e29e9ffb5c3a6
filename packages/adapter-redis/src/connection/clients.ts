import { Cluster, Redis } from 'ioredis'
import type { Settings } from '../options.ts'

/** ioredis, of one server (found by Sentinel or not) or of a cluster. */
export type Client = Redis | Cluster

/**
 * A client that is not connected yet. It never connects again by itself, never sends a command twice and never queues one
 * while there is no connection: whether a send may be repeated is for core to decide.
 */
export function makeClient(settings: Settings, name: string): Client {
  const { url, sentinel, cluster, natMap } = settings
  const options = {
    lazyConnect: true,
    retryStrategy: () => null,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: null,
    // Asks the server for its role, which only matters where Sentinels may be behind the times.
    enableReadyCheck: sentinel !== undefined,
    connectTimeout: settings.connectTimeout,
    socketTimeout: settings.responseTimeout,
    // How long a server has to close its side before the socket is destroyed.
    disconnectTimeout: 200,
    // The replies are the same in RESP2, which every server and proxy speaks, without the HELLO of RESP3.
    protocol: 2 as const,
    disableClientInfo: true,
    connectionName: `waybill-${name}`,
    db: url.path,
    ...(url.username !== undefined && { username: url.username }),
    ...(url.password !== undefined && { password: url.password }),
    ...((url.scheme === 'rediss' || settings.tls !== undefined) && {
      tls: withoutUndefined(settings.tls ?? {}),
    }),
  }
  const hosts = url.hosts.map(({ host, port }) => ({ host, port }))
  if (cluster) {
    return new Cluster(hosts, {
      lazyConnect: true,
      clusterRetryStrategy: () => null,
      // Nodes connect at their first command, and those that follow it would fail at once.
      enableOfflineQueue: true,
      // 0: commands that were cut off are not sent again (ioredis, ClusterOptions).
      retryDelayOnFailover: 0,
      slotsRefreshTimeout: settings.connectTimeout,
      redisOptions: options,
      ...(natMap !== undefined && { natMap }),
    })
  }
  if (sentinel === undefined) return new Redis({ ...options, ...hosts[0] })
  return new Redis({
    ...options,
    sentinels: hosts,
    name: sentinel.name,
    sentinelRetryStrategy: () => null,
    sentinelReconnectStrategy: () => null,
    enableTLSForSentinelMode: options.tls !== undefined,
    ...(sentinel.username !== undefined && { sentinelUsername: sentinel.username }),
    ...(sentinel.password !== undefined && { sentinelPassword: sentinel.password }),
    ...(sentinel.tls && { sentinelTLS: {} }),
    ...(natMap !== undefined && { natMap }),
  })
}

function withoutUndefined<Value extends object>(value: Value): Value {
  for (const name of Object.keys(value))
    if (Reflect.get(value, name) === undefined) Reflect.deleteProperty(value, name)
  return value
}
