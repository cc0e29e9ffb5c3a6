import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { SNSClient } from '@aws-sdk/client-sns'
import { SQSClient } from '@aws-sdk/client-sqs'
import type { DriverEvent, MessagingError } from '@waybill/core/driver'
import { toServiceError } from '../errors.ts'
import type { Options } from '../options.ts'

const connectTimeoutMs = 3000

/** The SDK's clients, and the one way to call them: errors become ours, and losing the service is reported once. */
export class Clients {
  readonly sqs: SQSClient
  readonly sns: SNSClient
  readonly #emit: (event: DriverEvent) => void
  readonly #requestTimeoutMs: number
  #isUp = true

  constructor(options: Options, emit: (event: DriverEvent) => void) {
    this.#emit = emit
    this.#requestTimeoutMs = options.requestTimeout
    // Long polls each hold a socket; how many requests there are at once is core's decision, not the agent's.
    const agent = { keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, noDelay: true }
    const settings = {
      ...(options.region !== undefined && { region: options.region }),
      // Emulators have no regions, but requests are signed for one.
      ...(options.region === undefined && options.endpoint !== undefined && { region: 'us-east-1' }),
      ...(options.credentials !== undefined && {
        credentials: {
          accessKeyId: options.credentials.accessKeyId,
          secretAccessKey: options.credentials.secretAccessKey,
          ...(options.credentials.sessionToken !== undefined && {
            sessionToken: options.credentials.sessionToken,
          }),
        },
      }),
      // Slows down when the service throttles; what fails is tried again by core, which knows the deadlines.
      retryMode: 'adaptive',
      maxAttempts: options.maxAttempts,
      requestHandler: {
        httpAgent: new HttpAgent(agent),
        httpsAgent: new HttpsAgent(agent),
        connectionTimeout: connectTimeoutMs,
        throwOnRequestTimeout: true,
        // The request timeout ends with the response's head, this one also watches its body.
        socketTimeout: options.pollWait + options.requestTimeout,
      },
    }
    this.sqs = new SQSClient({
      ...settings,
      ...(options.endpoint !== undefined && { endpoint: options.endpoint }),
      // The queue's URL is an identifier; where it is served is for the endpoint to say.
      useQueueUrlAsEndpoint: false,
      // One message with another sum would fail everything received with it, each time anew; TLS guards the rest.
      md5: false,
    })
    this.sns = new SNSClient({
      ...settings,
      ...(options.snsEndpoint !== undefined && { endpoint: options.snsEndpoint }),
    })
    // It prepares a record of every request and answer, for a logger that is not there.
    for (const { middlewareStack } of [this.sqs, this.sns]) middlewareStack.remove('loggerMiddleware')
  }

  /** Calls the service, `waitMs` longer than usual where it is asked to wait. */
  async call<Output>(
    what: string,
    send: (options: { readonly requestTimeout: number }) => Promise<Output>,
    waitMs = 0,
  ): Promise<Output> {
    try {
      const output = await send({ requestTimeout: this.#requestTimeoutMs + waitMs })
      this.#found()
      return output
    } catch (thrown) {
      const error = toServiceError(thrown, what)
      if (error.code === 'disconnected' || error.code === 'timeout') this.#lost(error)
      else this.#found()
      throw error
    }
  }

  /** Ends whatever is under way. */
  destroy(): void {
    this.sqs.destroy()
    this.sns.destroy()
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
