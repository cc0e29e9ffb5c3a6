/** What distinguishes the values of a figure. All have few values: nothing of a single message is a label. */
export type Label =
  | 'topic'
  | 'group'
  | 'operation'
  | 'error'
  | 'reason'
  | 'partition'
  | 'state'
  | 'types'
  | 'outbox'
  | 'jobs'
  | 'job'

/** Something that is counted, timed, or read when it is asked for. */
export interface Figure {
  /** As OpenTelemetry names it: `messaging.client.sent.messages`. */
  readonly name: string
  /** Durations are in seconds. */
  readonly kind: 'counter' | 'duration' | 'gauge'
  /** In UCUM: `s`, `{message}`. */
  readonly unit: string
  readonly description: string
  readonly labels: readonly Label[]
}

/** The values of a figure's labels. A label without a value is absent. */
export type Labels = { readonly [Name in Label]?: string }

/** The boundaries of durations, in seconds: those of OpenTelemetry's conventions for messaging. */
export const durationBuckets: readonly number[] = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
]

type Rest = readonly [name: string, description: string, labels: readonly Label[]]

const counter = (unit: string, ...[name, description, labels]: Rest): Figure => ({
  name: `messaging.${name}`,
  kind: 'counter',
  unit,
  description,
  labels,
})

const duration = (...[name, description, labels]: Rest): Figure => ({
  name: `messaging.${name}`,
  kind: 'duration',
  unit: 's',
  description,
  labels,
})

const gauge = (unit: string, ...[name, description, labels]: Rest): Figure => ({
  name: `messaging.waybill.${name}`,
  kind: 'gauge',
  unit,
  description,
  labels,
})

const messages = '{message}'
const ofGroup: readonly Label[] = ['topic', 'group']

/**
 * All there is. The first four are named and defined by OpenTelemetry's conventions for messaging; the others follow their
 * style.
 */
export const figures = {
  sent: counter(messages, 'client.sent.messages', 'Messages that were sent, or failed to be', [
    'topic',
    'error',
  ]),
  consumed: counter(messages, 'client.consumed.messages', 'Messages that were given to handlers', ofGroup),
  operations: duration('client.operation.duration', 'Duration of sends and settlements', [
    'operation',
    ...ofGroup,
    'error',
  ]),
  processing: duration('process.duration', 'Duration of handler calls, with their middleware', [
    ...ofGroup,
    'error',
  ]),

  retried: counter(messages, 'waybill.retried.messages', 'Attempts that failed and come again', [
    ...ofGroup,
    'error',
  ]),
  deadLettered: counter(messages, 'waybill.dead_lettered.messages', 'Messages moved to the dead letters', [
    ...ofGroup,
    'reason',
  ]),
  skipped: counter(messages, 'waybill.skipped.messages', 'Messages acked without being handled', [
    ...ofGroup,
    'reason',
  ]),
  dropped: counter(messages, 'waybill.dropped.messages', 'Broadcast messages that were given up', [
    ...ofGroup,
    'reason',
  ]),
  returned: counter(messages, 'waybill.returned.messages', 'Messages that went back to their group', [
    ...ofGroup,
    'reason',
  ]),
  failures: counter('{failure}', 'waybill.failures', 'Failures that no caller could be told of', ['error']),

  connectionUp: gauge('1', 'connection.up', 'Whether the broker answers: 1 or 0', []),
  consumers: gauge('{consumer}', 'consumers', 'Consumers of this process, by state', [...ofGroup, 'state']),
  failing: gauge('{consumer}', 'consumers.failing', 'Consumers that are stuck or fail', ofGroup),
  inHand: gauge(messages, 'consumers.in_hand', 'Messages taken from the broker, not settled yet', ofGroup),
  running: gauge('{handler}', 'consumers.running', 'Handlers that run', ofGroup),
  oldestHandler: gauge('s', 'consumers.oldest_handler.age', 'How long the oldest handler runs', ofGroup),
  heldKeys: gauge('{key}', 'consumers.held_keys', 'Keys that wait for a retry', ofGroup),
  unsettled: gauge(messages, 'consumers.unsettled', 'Verdicts that could not be carried out yet', ofGroup),
  breaker: gauge('1', 'breaker.state', 'Circuit breakers: 0 closed, 1 half open, 2 open', [
    ...ofGroup,
    'types',
  ]),

  groupUp: gauge('1', 'group.up', 'Whether the group could be counted: 1 or 0', ofGroup),
  waiting: gauge(messages, 'group.waiting', 'Messages that wait at the broker', ofGroup),
  inFlight: gauge(messages, 'group.in_flight', 'Messages handed out by the broker', ofGroup),
  delayed: gauge(messages, 'group.delayed', 'Delayed messages and retries, not due yet', ofGroup),
  dead: gauge(messages, 'group.dead', 'Dead letters', ofGroup),
  lag: gauge(messages, 'group.lag', 'Messages behind the end of a partition', [...ofGroup, 'partition']),
  oldestMessage: gauge('s', 'group.oldest.age', 'Age of the oldest message that waits', ofGroup),

  jobsAdded: counter('{job}', 'waybill.jobs.added', 'Jobs that were added, or failed to be', [
    'job',
    'error',
  ]),
  jobProcessing: duration('waybill.jobs.process.duration', 'Duration of attempts at jobs', ['job', 'error']),
  jobsUp: gauge('1', 'jobs.up', 'Whether the jobs could be counted: 1 or 0', ['jobs']),
  jobsStored: gauge('{job}', 'jobs.stored', 'Jobs in a store, by state', ['jobs', 'state']),

  outboxUp: gauge('1', 'outbox.up', 'Whether the outbox could be counted: 1 or 0', ['outbox']),
  outboxWaiting: gauge(messages, 'outbox.waiting', 'Messages in the outbox, not sent yet', ['outbox']),
  outboxParked: gauge(messages, 'outbox.parked', 'Messages of the outbox that were set aside', ['outbox']),
  outboxHeld: gauge('{key}', 'outbox.held', 'What waits because it could not be sent', ['outbox']),
  outboxOldest: gauge('s', 'outbox.oldest.age', 'Age of the oldest message in the outbox', ['outbox']),
} as const satisfies Readonly<Record<string, Figure>>
