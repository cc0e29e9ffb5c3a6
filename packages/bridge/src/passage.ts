import {
  type HandlerContext,
  type Message,
  type MessagingError,
  PermanentError,
  type Producer,
  type Topic,
} from '@waybill/core'
import { type Clock, headerNames, sleep, toMessagingError } from '@waybill/core/driver'
import { priorityOf, sendUndecoded, type UndecodedMessage } from '@waybill/core/tools'
import { isRefusal } from './refusal.ts'
import { routeOf, routeText } from './route.ts'

export interface PassageSettings {
  readonly clock: Clock
  /** The names of the brokers, as in routes. */
  readonly from: string
  readonly to: string
  readonly topic: Topic
  readonly producer: Producer
  readonly canPrioritize: boolean
  readonly maxHops: number
  /** Whether the target's own messages stay here. */
  readonly leavesOutLoops: boolean
  readonly onTrouble: (what: string, error: MessagingError) => void
}

/** Its signal is looked at only when something fails. */
type OfDelivery = Pick<HandlerContext, 'signal'>

// A target that is away is asked again and again, but not in a hurry.
const longestPauseMs = 5000
const firstPauseMs = 100

/** The way of one topic's messages to the target. A message is through once the target has confirmed it. */
export class Passage {
  readonly #settings: PassageSettings
  /** How many messages meet with trouble at the moment, each with what it met with last. */
  readonly #troubled = new Map<string, MessagingError>()

  constructor(settings: PassageSettings) {
    this.#settings = settings
  }

  /** Why messages do not get through at the moment. */
  get trouble(): MessagingError | undefined {
    for (const error of this.#troubled.values()) return error
    return undefined
  }

  /**
   * Resolves with `looped` when the message came from the target. However long the target is away, it is sent again and
   * again, so that nothing of its key overtakes it.
   *
   * @throws {PermanentError} when the target will never take it.
   * @throws {MessagingError} what the last try met with, when the message is no longer ours or gets no more time.
   */
  async take(message: Message<UndecodedMessage>, delivery: OfDelivery): Promise<'moved' | 'looped'> {
    const { from, to, maxHops, leavesOutLoops } = this.#settings
    const route = routeOf(message.data.lasting)
    if (leavesOutLoops && route.includes(to)) return 'looped'
    if (route.length >= maxHops) {
      const what = `It has passed ${route.length} bridges (${route.join(', ')}) and seems to go in circles`
      throw new PermanentError(`${what}: give each broker one name on all bridges, or raise maxHops`)
    }
    const lasting = { ...message.data.lasting, [headerNames.bridged]: routeText(route, from) }
    await this.#send({ ...message, data: { ...message.data, lasting } }, delivery)
    return 'moved'
  }

  async #send(message: Message<UndecodedMessage>, delivery: OfDelivery): Promise<void> {
    const { producer, topic, canPrioritize, clock, onTrouble } = this.#settings
    const priority = canPrioritize ? priorityOf(message.data) : undefined
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      try {
        await sendUndecoded(producer, topic, message, { priority })
        this.#troubled.delete(message.id)
        return
      } catch (thrown) {
        const error = toMessagingError(thrown, 'The target failed')
        if (isRefusal(error)) {
          this.#troubled.delete(message.id)
          throw new PermanentError(`The target refused it (${error.code}): ${error.message}`, {
            cause: error,
          })
        }
        // Somebody else has it by now; sent again, it would come after what follows it.
        if (delivery.signal.aborted) {
          this.#troubled.delete(message.id)
          throw error
        }
        this.#troubled.set(message.id, error)
        onTrouble(`sending to topic ${topic.name} at the target`, error)
        await sleep(clock, pauseMs, delivery.signal)
      }
    }
  }
}
