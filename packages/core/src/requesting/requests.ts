import { z } from 'zod'
import type { ConsumerHost } from '../consuming/consumer.ts'
import type { WorkerHealth } from '../consuming/worker.ts'
import { headerNames } from '../driver/transport-headers.ts'
import { writeReplyAddress } from '../handling/reply-address.ts'
import type { Duration } from '../lib/duration.ts'
import { someMillisecondsSchema } from '../lib/duration-schema.ts'
import { ConfigurationError, MessagingError, RequestError, toError } from '../lib/errors.ts'
import { newId } from '../lib/new-id.ts'
import { lazily, parseOptions, wholeText } from '../lib/validation.ts'
import { type RequestDefinition, validateData } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import type { Producer } from '../sending/producer.ts'
import { type SendOptions, wereTaken, withTransportHeaders } from '../sending/send-options.ts'
import { Inbox } from './inbox.ts'
import { fateOf, type PendingRequest, PendingRequests } from './pending-requests.ts'
import { outcomeName, type ReplyMessages, readFailure } from './reply-message.ts'

export interface RequestOptions extends Omit<SendOptions, 'delay' | 'timeout'> {
  /** How long the reply may take, sending and subscribing included. Default: 30 s. */
  readonly timeout?: Duration
  /** Ends the wait with an `aborted` error. The request has been sent, and may still be handled. */
  readonly signal?: AbortSignal
  /** How long the request is worth handling. Default: the timeout, so that nobody works for a requester who is gone. */
  readonly expiresIn?: Duration
}

// The producer checks the rest.
const requestSchema = lazily(() =>
  z.looseObject({
    timeout: someMillisecondsSchema().prefault('30s'),
    delay: z
      .undefined('a request is sent at once; send a message instead, and have the answer sent too')
      .optional(),
    id: wholeText().min(1).max(256).optional(),
    signal: z.instanceof(AbortSignal).optional(),
  }),
)

export interface RequestsHost {
  readonly consumers: ConsumerHost
  readonly messages: ReplyMessages
  producer(): Producer
}

/** Sends requests, and gives each the first reply that comes. */
export class Requests {
  readonly #host: RequestsHost
  readonly #pending: PendingRequests
  readonly #inbox: Inbox

  constructor(host: RequestsHost) {
    this.#host = host
    const { clock } = host.consumers
    this.#pending = new PendingRequests(clock, (request) => this.#timeoutError(request))
    this.#inbox = new Inbox(newId(), host.consumers, host.messages.topic, (message) => this.#take(message))
  }

  async request(
    definition: RequestDefinition,
    data: unknown,
    options: RequestOptions = {},
  ): Promise<unknown> {
    const { timeout: timeoutMs, signal, id = newId() } = this.#parse(definition, options)
    if (signal?.aborted) {
      const what = `Request ${definition.type} was not sent: its signal had fired`
      throw new MessagingError('aborted', what, { fate: 'not-sent', cause: signal.reason })
    }
    this.#host.consumers.formats.learn(this.#host.messages.to(this.#inbox.id, definition))
    return this.#pending.wait({ definition, id, timeoutMs, signal }, (request) => {
      void this.#send(request, data, options)
    })
  }

  health(): readonly WorkerHealth[] {
    return this.#inbox.health()
  }

  async close(): Promise<void> {
    this.#pending.close()
    await this.#inbox.close()
  }

  #parse(definition: RequestDefinition, options: RequestOptions) {
    const what = `request ${definition.type}`
    const parsed = parseOptions(requestSchema(), options, what, 'options')
    if (parsed.id === undefined || !this.#pending.has(parsed.id)) return parsed
    const message = `a request with the id "${parsed.id}" waits for its reply already`
    throw new ConfigurationError(what, [{ path: 'options.id', message }])
  }

  async #send(request: PendingRequest, data: unknown, options: RequestOptions): Promise<void> {
    const { definition, id, deadline } = request
    try {
      await this.#inbox.ready()
      // Its time may be over by now.
      if (this.#pending.get(id) !== request) return
      const leftMs = Math.max(0, deadline - this.#host.consumers.clock.monotonic())
      const limited = { ...options, id, timeout: leftMs, expiresIn: options.expiresIn ?? leftMs }
      const address = { [headerNames.replyTo]: writeReplyAddress(this.#inbox.id, id) }
      const asking = withTransportHeaders(limited, address)
      const sending = this.#host.producer().send(definition, data, asking)
      request.isSent = true
      await sending
      if (!wereTaken(address)) throw addressLost(request)
    } catch (error) {
      request.reject(error)
    }
  }

  /** Whatever has no request waiting for it is a duplicate, late, or none of ours. */
  #take({ data, metadata }: Message): void {
    const { causationId = '', [outcomeName]: outcome } = metadata
    const request = this.#pending.get(causationId)
    if (request === undefined || request.isAnswered) return
    const failure = outcome === 'failed' ? readFailure(data) : undefined
    request.isAnswered = outcome === 'replied' || failure !== undefined
    if (failure !== undefined) request.reject(new RequestError(nameOf(request), failure))
    else if (request.isAnswered) void this.#resolve(request, data)
  }

  async #resolve(request: PendingRequest, data: unknown): Promise<void> {
    const what = nameOf(request)
    const invalid = (message: string) => {
      const error = { name: 'Error', message: `the reply does not fit the schema here: ${message}` }
      request.reject(new RequestError(what, { reason: 'invalid-reply', error }))
    }
    try {
      const checked = await validateData(request.definition.reply, data)
      if ('value' in checked) request.resolve(checked.value)
      else
        invalid(
          checked.issues
            .map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
            .join('; '),
        )
    } catch (error) {
      invalid(toError(error).message)
    }
  }

  #timeoutError(request: PendingRequest): MessagingError {
    const { error } = this.#inbox
    const options = { retryable: true, fate: fateOf(request), cause: error }
    if (!request.isSent) {
      const why = error === undefined ? 'replies could not be subscribed to in time' : error.message
      return new MessagingError('timeout', `${nameOf(request)} was not sent: ${why}`, options)
    }
    const lost = error === undefined ? '' : ` Replies do not arrive here at the moment: ${error.message}.`
    const why =
      'Nobody may be there to handle it, its handler may take longer or be between two attempts, or all who handle it run a version that does not reply'
    const what = `${nameOf(request)} has no reply in time, and whether it was handled is unknown.${lost} ${why}`
    return new MessagingError('timeout', what, options)
  }
}

function addressLost(request: PendingRequest): MessagingError {
  const what = `A send middleware replaced the options of ${nameOf(request)}, and with them the address of its reply`
  return new MessagingError('failed', `${what}; spread them: { ...context.options, … }`, { fate: 'unknown' })
}

function nameOf({ definition, id }: PendingRequest): string {
  return `Request ${definition.type} ${id}`
}
