import type { DeliveryInHand } from '../deliveries/delivery.ts'
import { headerNames } from '../driver/transport-headers.ts'
import type { Emit } from '../events/events.ts'
import { MessagingError, type RequestFailure, toError, toMessagingError } from '../lib/errors.ts'
import { attributesIn } from '../messages/cloud-events.ts'
import { type MessageDefinition, validateData } from '../messages/definition.ts'
import type { ActiveHandler } from './handlers.ts'
import { whileHandling } from './handling.ts'
import { readReplyAddress } from './reply-address.ts'

/** A request, as far as its reply needs it. */
export interface Asked {
  /** Where its requester waits. */
  readonly inbox: string
  /** As the requester knows it. */
  readonly id: string
  /** No longer waited for after this. */
  readonly expiresAt: Date | undefined
  /** Undefined when the request could not be read, or has no handler. */
  readonly definition: MessageDefinition | undefined
}

/** Sends replies to the inboxes of requesters. Rejects when one could not be sent in time. */
export interface Replies {
  reply(asked: Asked, data: unknown): Promise<void>
  gaveUp(asked: Asked, failure: RequestFailure): Promise<void>
}

export interface AnswersSettings {
  readonly replies: Replies
  readonly emit: Emit
  /** Each member gets every request: one that gives up speaks for nobody else. */
  readonly broadcast: boolean
}

/** Tells requesters what became of their requests. Costs messages that are none a look at their handler and their headers. */
export class Answers {
  readonly #settings: AnswersSettings

  constructor(settings: AnswersSettings) {
    this.#settings = settings
  }

  /** The request that the handler's return value replies to; undefined when it is none. */
  asked(delivery: DeliveryInHand, { definition }: ActiveHandler): Asked | undefined {
    return definition?.reply === undefined ? undefined : askedBy(delivery, definition)
  }

  /** What is wrong with the reply; undefined when it fits its schema. */
  async problem({ definition }: Asked, reply: unknown): Promise<Error | undefined> {
    if (definition?.reply === undefined) return undefined
    const what = `The handler of ${definition.type} returned no valid reply`
    try {
      const checked = await validateData(definition.reply, reply)
      if ('value' in checked) return undefined
      const list = checked.issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
      return new MessagingError('invalid-message', `${what}: ${list.join('; ')}`)
    } catch (error) {
      return new MessagingError('invalid-message', `${what}: ${toError(error).message}`, { cause: error })
    }
  }

  /** Sends the reply. The result is why the request has to be given up, since no reply like this can ever be sent. */
  async reply(delivery: DeliveryInHand, asked: Asked, data: unknown): Promise<Error | undefined> {
    const { replies } = this.#settings
    try {
      await whileHandling(delivery.message, () => replies.reply(asked, data))
      return undefined
    } catch (thrown) {
      const error = toMessagingError(thrown, 'The reply could not be sent')
      if (error.code === 'too-large' || error.code === 'invalid-message') return error
      // The handler has had its effect, which another attempt would repeat; the requester's time is over by now, or it is gone.
      this.#report(asked, error)
      return undefined
    }
  }

  /** Tells the requester, if there is one, that there will be no reply. */
  gaveUp(
    delivery: DeliveryInHand,
    definition: MessageDefinition | undefined,
    reason: string,
    error: Error | undefined,
  ): void {
    if (this.#settings.broadcast) return
    const asked = askedBy(delivery, definition)
    if (asked === undefined) return
    const failure = {
      reason,
      group: delivery.group,
      ...(error !== undefined && { error: { name: text(error.name), message: text(error.message) } }),
    }
    const tell = () => this.#settings.replies.gaveUp(asked, failure)
    const told = delivery.isRead ? whileHandling(delivery.message, tell) : tell()
    told.catch((thrown: unknown) =>
      this.#report(asked, toMessagingError(thrown, 'The requester was not told')),
    )
  }

  #report({ id }: Asked, error: MessagingError): void {
    this.#settings.emit('failure', { what: `the reply to request ${id}`, error })
  }
}

function askedBy(delivery: DeliveryInHand, definition: MessageDefinition | undefined): Asked | undefined {
  const { headers } = delivery.delivery
  const address = readReplyAddress(headers[headerNames.replyTo])
  if (address === undefined) return undefined
  const { inbox } = address
  const message = delivery.isRead ? delivery.message : undefined
  const id = address.id ?? message?.id ?? attributesIn(headers).id
  return id === undefined ? undefined : { inbox, id, expiresAt: message?.expiresAt, definition }
}

const longestText = 1024

function text(value: unknown): string {
  const whole = String(value)
  return (whole.length <= longestText ? whole : `${whole.slice(0, longestText - 1)}…`).toWellFormed()
}
