import {
  type Attributes,
  createNoopMeter,
  type Histogram,
  type Meter,
  type ObservableGauge,
  type UpDownCounter,
} from '@opentelemetry/api'
import { durationBuckets, type Figure, figures, type Labels, type Reader, type Sink } from '@waybill/figures'
import { attributeNames } from './names.ts'

/** Whether anybody collects what this meter measures. */
export function isCollected(meter: Meter): boolean {
  return meter !== createNoopMeter()
}

/** The operation of figures that have no label for it. */
const operations = new Map<Figure, string>([
  [figures.sent, 'send'],
  [figures.consumed, 'process'],
  [figures.processing, 'process'],
  [figures.jobsAdded, 'add'],
  [figures.jobProcessing, 'process'],
])

const types: Readonly<Record<string, string>> = { send: 'send', add: 'send', process: 'process' }

/** The instruments of one bus. */
export class Instruments implements Sink {
  readonly #system: string
  readonly #counters = new Map<Figure, Pick<UpDownCounter, 'add'>>()
  readonly #histograms = new Map<Figure, Histogram>()
  readonly #gauges = new Map<Figure, ObservableGauge>()
  readonly #attributes = new WeakMap<Labels, Attributes>()

  constructor(meter: Meter, system: string) {
    this.#system = system
    for (const figure of Object.values<Figure>(figures)) {
      const { name, kind, unit, description } = figure
      if (kind === 'counter') this.#counters.set(figure, meter.createCounter(name, { unit, description }))
      else if (kind === 'gauge')
        this.#gauges.set(figure, meter.createObservableGauge(name, { unit, description }))
      else {
        const advice = { explicitBucketBoundaries: [...durationBuckets] }
        this.#histograms.set(figure, meter.createHistogram(name, { unit, description, advice }))
      }
    }
  }

  add(figure: Figure, labels: Labels, count: number): void {
    this.#counters.get(figure)?.add(count, this.#attributesOf(figure, labels))
  }

  record(figure: Figure, labels: Labels, seconds: number): void {
    this.#histograms.get(figure)?.record(seconds, this.#attributesOf(figure, labels))
  }

  /** The gauges are read whenever the SDK collects. */
  observe(meter: Meter, reader: Reader): void {
    meter.addBatchObservableCallback(
      async (observer) => {
        for (const { figure, labels, value } of await reader.read()) {
          const gauge = this.#gauges.get(figure)
          if (gauge !== undefined) observer.observe(gauge, value, this.#attributesOf(figure, labels))
        }
      },
      [...this.#gauges.values()],
    )
  }

  #attributesOf(figure: Figure, labels: Labels): Attributes {
    const known = this.#attributes.get(labels)
    if (known !== undefined) return known
    const operation = labels.operation ?? operations.get(figure)
    const attributes: Attributes = { [attributeNames.system]: this.#system }
    for (const label of figure.labels) {
      const value = labels[label]
      if (value !== undefined) attributes[attributeNames[label]] = value
    }
    if (operation !== undefined) {
      attributes[attributeNames.operation] = operation
      attributes[attributeNames.operationType] = types[operation] ?? 'settle'
    }
    this.#attributes.set(labels, attributes)
    return attributes
  }
}
