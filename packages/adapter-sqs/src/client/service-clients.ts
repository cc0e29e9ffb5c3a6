import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { SNSClient } from '@aws-sdk/client-sns'
import { SQSClient } from '@aws-sdk/client-sqs'
import type { SqsSettings } from '../options.ts'

const connectTimeoutMs = 3000

/** The SDK's clients for one region. */
export interface ServiceClients {
  readonly sqs: SQSClient
  readonly sns: SNSClient
  /** Whom the service takes us for; undefined where there are no credentials. */
  accessKey(): Promise<string | undefined>
  /** Ends whatever is under way; clients that were given stay as they are. */
  destroy(): void
}

export interface ServiceClientOptions {
  /** Default: that of the connection. */
  readonly region?: string
  /** Told what the service's clock shows with each answer, in milliseconds since the epoch, without fractions of a second. */
  readonly onServiceTime: (time: number) => void
}

/** Clients for the region of the connection, or for another one that an ARN names. */
export function createServiceClients(
  settings: SqsSettings,
  { region, onServiceTime }: ServiceClientOptions,
): ServiceClients {
  const given = region === undefined ? settings.clients : {}
  const sqs = given.sqs ?? createSqs(settings, region)
  const sns = given.sns ?? createSns(settings, region)
  if (given.sqs === undefined) watchServiceTime(sqs, onServiceTime)
  return {
    sqs,
    sns,
    async accessKey() {
      const identity = await sqs.config.credentials().catch(() => undefined)
      return identity?.accessKeyId
    },
    destroy() {
      if (given.sqs === undefined) sqs.destroy()
      if (given.sns === undefined) sns.destroy()
    },
  }
}

function createSqs(settings: SqsSettings, region: string | undefined): SQSClient {
  const client = new SQSClient({
    ...common(settings, region),
    ...(settings.endpoint !== undefined && { endpoint: settings.endpoint }),
    // The queue's URL is an identifier; where it is served is for the endpoint to say.
    useQueueUrlAsEndpoint: false,
    // One message with another sum would fail everything received with it, each time anew; TLS guards the rest.
    md5: false,
  })
  return withoutLogger(client)
}

function createSns(settings: SqsSettings, region: string | undefined): SNSClient {
  const client = new SNSClient({
    ...common(settings, region),
    ...(settings.snsEndpoint !== undefined && { endpoint: settings.snsEndpoint }),
  })
  return withoutLogger(client)
}

function common(settings: SqsSettings, otherRegion: string | undefined) {
  const { endpoint, credentials, clients, tls, pollWait, requestTimeout } = settings
  // Long polls each hold a socket; how many requests there are at once is core's decision, not the agent's.
  const agent = { keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, noDelay: true }
  // Emulators have no regions, but requests are signed for one.
  const region = otherRegion ?? settings.region ?? (endpoint === undefined ? undefined : 'us-east-1')
  const identity = credentials ?? clients.sqs?.config.credentials
  return {
    ...(region !== undefined && { region }),
    ...(identity !== undefined && {
      credentials: typeof identity === 'function' ? identity : withoutUndefined(identity),
    }),
    // Core tries again, and knows the deadlines. The SDK's own retries share one budget, and its adaptive mode one rate,
    // among everything a client does: a throttled queue would slow down all others, and the renewal of leases.
    maxAttempts: 1,
    requestHandler: {
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent({ ...agent, ...tls }),
      connectionTimeout: connectTimeoutMs,
      throwOnRequestTimeout: true,
      // The request timeout ends with the response's head, this one also watches its body.
      socketTimeout: pollWait + requestTimeout,
    },
  }
}

/** Answers carry the time in their `Date` header, which the SDK itself only looks at when a signature is refused. */
function watchServiceTime(client: SQSClient, onServiceTime: (time: number) => void): void {
  client.middlewareStack.add(
    (next) => async (request) => {
      const result = await next(request)
      const time = dateOf(result.response)
      if (time !== undefined) onServiceTime(time)
      return result
    },
    { step: 'deserialize', name: 'waybillServiceTime', priority: 'low' },
  )
}

function dateOf(response: unknown): number | undefined {
  if (typeof response !== 'object' || response === null || !('headers' in response)) return undefined
  const { headers } = response
  if (typeof headers !== 'object' || headers === null || !('date' in headers)) return undefined
  const time = typeof headers.date === 'string' ? Date.parse(headers.date) : Number.NaN
  return Number.isNaN(time) ? undefined : time
}

/** It prepares a record of every request and answer, for a logger that is not there. */
function withoutLogger<Client extends SQSClient | SNSClient>(client: Client): Client {
  client.middlewareStack.remove('loggerMiddleware')
  return client
}

/**
 * Whether the request failed because our clock is wrong, which the SDK has put right for the next one. With `maxAttempts: 1`
 * it does not make that one itself.
 */
export function isClockCorrected(thrown: unknown): boolean {
  if (typeof thrown !== 'object' || thrown === null || !('$metadata' in thrown)) return false
  const metadata = thrown.$metadata
  return typeof metadata === 'object' && metadata !== null && 'clockSkewCorrected' in metadata
}

interface Identity {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
  readonly expiration?: Date | undefined
}

function withoutUndefined({ accessKeyId, secretAccessKey, sessionToken, expiration }: Identity) {
  return {
    accessKeyId,
    secretAccessKey,
    ...(sessionToken !== undefined && { sessionToken }),
    ...(expiration !== undefined && { expiration }),
  }
}
