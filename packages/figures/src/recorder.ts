import type { Bus, BusEvents, DeliveryInfo } from '@waybill/core'
import { errorType } from './error-type.ts'
import { type Figure, figures, type Labels } from './figure.ts'
import { LabelSets } from './label-sets.ts'

/** Where figures go as they come. */
export interface Sink {
  add(figure: Figure, labels: Labels, count: number): void
  record(figure: Figure, labels: Labels, seconds: number): void
}

// Those that Waybill gives. Users' own can be any text.
const reasons: ReadonlySet<string> = new Set([
  'attempts-exhausted',
  'crash-loop',
  'invalid-data',
  'invalid-reply',
  'not-retryable',
  'permanent',
  'reply-not-sent',
  'undecodable',
  'unhandled',
  'unknown-version',
])

type Listeners = { readonly [Name in keyof BusEvents]?: (event: BusEvents[Name][0]) => void }

/** Counts what the events of a bus tell, and what its user has timed. */
export class Recorder {
  readonly #sink: Sink
  readonly #labels = new LabelSets()

  /** Without a bus there are jobs only. */
  constructor(bus: Bus | undefined, sink: Sink) {
    this.#sink = sink
    const listeners: Listeners = {
      retried: (event) => this.#count(figures.retried, event, errorType(event.error)),
      deadLettered: (event) => this.#count(figures.deadLettered, event, reasonOf(event.reason)),
      dropped: (event) => this.#count(figures.dropped, event, reasonOf(event.reason)),
      skipped: (event) => this.#count(figures.skipped, event, 'skipped'),
      unhandled: (event) => this.#count(figures.skipped, event, 'unhandled'),
      expired: (event) => this.#count(figures.skipped, event, 'expired'),
      duplicate: (event) => {
        if (event.state === 'done') this.#count(figures.skipped, event, 'duplicate')
      },
      postponed: (event) => this.#count(figures.returned, event, 'postponed'),
      deferred: (event) => this.#count(figures.returned, event, 'deferred'),
      abandoned: (event) => this.#count(figures.returned, event, 'abandoned'),
      lost: (event) => this.#count(figures.returned, event, 'lost'),
      failure: ({ error }) =>
        sink.add(figures.failures, this.#labels.of(figures.failures, errorType(error)), 1),
    }
    if (bus !== undefined) listen(bus, listeners)
  }

  sent(topic: string, seconds: number, error: string | undefined): void {
    this.#sink.add(figures.sent, this.#labels.of(figures.sent, topic, error), 1)
    this.operated('send', topic, undefined, seconds, error)
  }

  consumed(topic: string, group: string, count = 1): void {
    this.#sink.add(figures.consumed, this.#labels.of(figures.consumed, topic, group), count)
  }

  processed(topic: string, group: string, seconds: number, error: string | undefined): void {
    this.#sink.record(figures.processing, this.#labels.of(figures.processing, topic, group, error), seconds)
  }

  operated(
    operation: string,
    topic: string,
    group: string | undefined,
    seconds: number,
    error: string | undefined,
  ): void {
    const labels = this.#labels.of(figures.operations, operation, topic, group, error)
    this.#sink.record(figures.operations, labels, seconds)
  }

  /** What was there already was not added, and did not fail. */
  jobsAdded(
    { name, count, added = 0 }: { name: string; count: number; added: number | undefined },
    error: string | undefined,
  ): void {
    const labels = this.#labels.of(figures.jobsAdded, name, error)
    this.#sink.add(figures.jobsAdded, labels, error === undefined ? added : count)
  }

  jobHandled(name: string, seconds: number, error: string | undefined): void {
    this.#sink.record(figures.jobProcessing, this.#labels.of(figures.jobProcessing, name, error), seconds)
  }

  #count(figure: Figure, { topic, group }: DeliveryInfo, last: string): void {
    this.#sink.add(figure, this.#labels.of(figure, topic, group, last), 1)
  }
}

function reasonOf(reason: string): string {
  return reasons.has(reason) ? reason : 'other'
}

function listen(bus: Bus, listeners: Listeners): void {
  for (const name of Object.keys(listeners) as (keyof Listeners)[]) on(bus, name, listeners)
}

function on<Name extends keyof BusEvents>(bus: Bus, name: Name, listeners: Listeners): void {
  const listener = listeners[name]
  if (listener !== undefined) bus.on(name, listener)
}
