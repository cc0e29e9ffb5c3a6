import { toError } from '../lib/errors.ts'
import type { BusEvents, DeliveryInfo } from './events.ts'

export type EventLevel = 'debug' | 'info' | 'warn' | 'error'

/** How important each event is: `warn` and `error` report a failure, `debug` comes with each message. */
export const eventLevels: Readonly<Record<keyof BusEvents, EventLevel>> = {
  connected: 'info',
  disconnected: 'warn',
  blocked: 'warn',
  unblocked: 'info',
  warning: 'warn',
  sent: 'debug',
  received: 'debug',
  handled: 'debug',
  retried: 'warn',
  deadLettered: 'error',
  unhandled: 'info',
  deferred: 'debug',
  skipped: 'info',
  expired: 'info',
  duplicate: 'debug',
  lost: 'warn',
  dropped: 'error',
  abandoned: 'warn',
  stuck: 'error',
  breaker: 'warn',
  postponed: 'debug',
  failure: 'error',
}

/** A sentence without its full stop, and what makes it the same as another one: its reason, not its message. */
export interface EventLine {
  readonly text: string
  readonly keys: readonly string[]
}

type Tellers = { readonly [Name in keyof BusEvents]: (event: BusEvents[Name][0]) => EventLine }

function of({ message, topic, group, attempt }: DeliveryInfo): string {
  const what = message === undefined ? 'a message' : `${message.type} ${message.id}`
  return `${what} of topic ${topic} in group ${group}, attempt ${attempt}`
}

function line(text: string, ...keys: readonly string[]): EventLine {
  return { text, keys }
}

function ofDelivery(what: string) {
  return (info: DeliveryInfo) => line(`${what}: ${of(info)}`, info.topic, info.group)
}

const tellers: Tellers = {
  connected: () => line('Connected to the broker'),
  disconnected: ({ error }) => line(`The broker is disconnected: ${error.message}`, error.code),
  blocked: ({ reason }) => line(`The broker is blocking publishers: ${reason}`, reason),
  unblocked: () => line('The broker has stopped blocking publishers'),
  warning: ({ message }) => line(message, message),
  sent: ({ topic, message }) => line(`Sent: ${message.type} ${message.id} to topic ${topic}`, topic),
  received: ofDelivery('Received'),
  handled: ({ durationMs, ...info }) =>
    line(`Handled in ${Math.round(durationMs)} ms: ${of(info)}`, info.topic, info.group),
  retried: ({ delayMs, error, ...info }) =>
    line(
      `Handling failed and will be retried in ${delayMs} ms: ${of(info)}`,
      info.topic,
      info.group,
      String(toError(error).message),
    ),
  deadLettered: ({ reason, ...info }) =>
    line(`Dead-lettered (${reason}): ${of(info)}`, info.topic, info.group, reason),
  unhandled: ofDelivery('Skipped, since nobody in the group has asked for its type'),
  deferred: ofDelivery('Left to others of the group, since no consumer here handles its type'),
  skipped: ({ reason, ...info }) => line(`Skipped (${reason}): ${of(info)}`, info.topic, info.group, reason),
  expired: ofDelivery('Dropped after its expiry'),
  duplicate: ({ state, ...info }) =>
    line(`A duplicate of what is ${state}: ${of(info)}`, info.topic, info.group, state),
  lost: ofDelivery('No longer ours while in hand, its outcome is ignored'),
  dropped: ({ reason, ...info }) => line(`Given up (${reason}): ${of(info)}`, info.topic, info.group, reason),
  abandoned: ofDelivery('Still running when stop ran out of time, and given back'),
  stuck: ({ topic, group, running, oldestRunningMs }) =>
    line(
      `All ${running} handlers of group ${group} on topic ${topic} are stuck, the oldest for ${oldestRunningMs} ms`,
      topic,
      group,
    ),
  breaker: ({ topic, group, types, state }) =>
    line(
      `The circuit breaker of ${types} of topic ${topic} in group ${group} is ${state}`,
      topic,
      group,
      types,
      state,
    ),
  postponed: ({ delayMs, ...info }) =>
    line(`Waits ${delayMs} ms for its handler's limits: ${of(info)}`, info.topic, info.group),
  failure: ({ what, error }) => line(`Failed: ${what}: ${error.message}`, what, error.code, error.message),
}

/** The event as a line of a log. Bodies are never part of it. */
export function eventLine<Name extends keyof BusEvents>(name: Name, event: BusEvents[Name][0]): EventLine {
  return tellers[name](event)
}

/** The error that an event tells of. */
export function errorOf(event: BusEvents[keyof BusEvents][0]): Error | undefined {
  return 'error' in event ? event.error : undefined
}
