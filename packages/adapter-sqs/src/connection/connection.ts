import {
  type Clock,
  ConfigurationError,
  type DriverContext,
  type DriverEvent,
  MessagingError,
  toMessagingError,
} from '@waybill/core/driver'
import { GetQueueUrlCommand, type SNSClient, type SQSClient } from '../client/aws-sdk.ts'
import { createServiceClients, isClockCorrected, type ServiceClients } from '../client/service-clients.ts'
import { isForbidden, toConnectError, toServiceError } from '../errors.ts'
import type { SqsSettings } from '../options.ts'
import { ServiceTime } from './service-time.ts'

/** For the SDK, with each request. */
export interface RequestOptions {
  readonly requestTimeout: number
  readonly abortSignal?: AbortSignal
}

export interface CallOptions {
  /** How much longer than usual the answer may take, because the service is asked to wait. */
  readonly waitMs?: number
  readonly signal?: AbortSignal | undefined
}

/** The two services, and the one way to call them: errors become ours, and losing the service is reported once. */
export class Connection {
  readonly region: string
  readonly endpoint: string | undefined
  readonly #settings: SqsSettings
  readonly #clock: Clock
  readonly #emit: (event: DriverEvent) => void
  readonly #own: ServiceClients
  readonly #time: ServiceTime
  readonly #others = new Map<string, ServiceClients>()
  #isUp = true

  private constructor(
    settings: SqsSettings,
    { own, region, time }: { own: ServiceClients; region: string; time: ServiceTime },
    { clock, emit }: Pick<DriverContext, 'clock' | 'emit'>,
  ) {
    this.region = region
    this.endpoint = settings.endpoint
    this.#settings = settings
    this.#own = own
    this.#time = time
    this.#clock = clock
    this.#emit = emit
  }

  /** Open when SQS answers and knows who we are. */
  static async open(
    settings: SqsSettings,
    context: Pick<DriverContext, 'clock' | 'emit' | 'signal'>,
  ): Promise<Connection> {
    const time = new ServiceTime(context.clock)
    const clients = createServiceClients(settings, { onServiceTime: time.learn })
    try {
      const region = await regionOf(clients)
      const connection = new Connection(settings, { own: clients, region, time }, context)
      await connection.probe({ signal: context.signal })
      return connection
    } catch (error) {
      const [accessKey, region] = await Promise.all([clients.accessKey(), regionOf(clients).catch(() => '')])
      clients.destroy()
      const address = settings.endpoint === undefined ? region : new URL(settings.endpoint).host
      const isOverTls = settings.endpoint?.startsWith('http:') !== true
      throw toConnectError(toMessagingError(error, 'Connecting to SQS'), { address, accessKey, isOverTls })
    }
  }

  /** The time by the service's clock, at most a second behind it; by ours where the service has not told. */
  now(): number {
    return this.serviceTime ?? this.#clock.now()
  }

  /** The time by the service's clock, at most a second behind it; undefined where the service has not told. */
  get serviceTime(): number | undefined {
    return this.#time.now()
  }

  get sqs(): SQSClient {
    return this.#own.sqs
  }

  get sns(): SNSClient {
    return this.#own.sns
  }

  /** The clients for a region, ours unless told otherwise. */
  clientsOf(region = this.region): ServiceClients {
    if (region === this.region) return this.#own
    const known = this.#others.get(region)
    if (known !== undefined) return known
    const clients = createServiceClients(this.#settings, { region, onServiceTime: this.#time.learn })
    this.#others.set(region, clients)
    return clients
  }

  async call<Output>(
    what: string,
    send: (options: RequestOptions) => Promise<Output>,
    { waitMs = 0, signal }: CallOptions = {},
  ): Promise<Output> {
    const options = {
      requestTimeout: this.#settings.requestTimeout + waitMs,
      ...(signal !== undefined && { abortSignal: signal }),
    }
    try {
      const output = await send(options).catch((thrown: unknown) => {
        if (isClockCorrected(thrown)) return send(options)
        throw thrown
      })
      this.#found()
      return output
    } catch (thrown) {
      if (signal?.aborted) throw new MessagingError('aborted', `${what} was aborted`, { fate: 'unknown' })
      const error = toServiceError(thrown, what)
      if (error.code === 'disconnected' || error.code === 'timeout') this.#lost(error)
      else this.#found()
      throw error
    }
  }

  /**
   * Asks SQS for an answer. Without the name of a queue that we may ask for, any will do: that it does not exist, or that we
   * may not know, which only somebody is told whose signature is right.
   */
  async probe({
    queue,
    signal,
  }: {
    readonly queue?: string | undefined
    readonly signal?: AbortSignal | undefined
  }): Promise<void> {
    const command = new GetQueueUrlCommand({ QueueName: queue ?? `${this.#settings.prefix}waybill-probe` })
    try {
      await this.call('Asking SQS for an answer', (options) => this.sqs.send(command, options), { signal })
    } catch (error) {
      if (!MessagingError.is(error)) throw error
      if (error.code === 'throttled') return
      const isAnswer = error.code === 'topology-missing' || error.code === 'rejected' || isForbidden(error)
      if (queue !== undefined || !isAnswer) throw error
    }
  }

  /** Ends whatever is under way. */
  destroy(): void {
    for (const clients of [this.#own, ...this.#others.values()]) clients.destroy()
  }

  #found(): void {
    if (this.#isUp) return
    this.#isUp = true
    this.#emit({ type: 'connected' })
  }

  #lost(error: MessagingError): void {
    if (!this.#isUp) return
    this.#isUp = false
    this.#emit({ type: 'disconnected', error })
  }
}

async function regionOf({ sqs }: ServiceClients): Promise<string> {
  try {
    return await sqs.config.region()
  } catch (error) {
    const message = `no region: write sqs://eu-west-1, or set AWS_REGION (${toMessagingError(error, 'the SDK').message})`
    throw new ConfigurationError('URL', [{ path: 'url', message }])
  }
}
