import { durationBuckets, type Figure, figures, type Labels, type Reader, type Sink } from '@waybill/figures'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** `messaging.client.sent.messages` → `waybill_sent_messages_total`: Waybill's prefix, the unit, and `_total` of what counts. */
export function prometheusName({ name, kind, unit }: Figure): string {
  const words = name.replace(/^messaging\.(client\.|waybill\.)?/, '').replaceAll('.', '_')
  const seconds = unit === 's' ? '_seconds' : ''
  return `waybill_${words}${seconds}${kind === 'counter' ? '_total' : ''}`
}

/** The metrics of one bus in a registry, or of jobs alone. */
export class Collectors implements Sink {
  readonly #counters = new Map<Figure, Counter>()
  readonly #histograms = new Map<Figure, Histogram>()
  readonly #common: Readonly<Record<string, string>>
  readonly #labels = new WeakMap<Labels, Readonly<Record<string, string>>>()

  constructor(registry: Registry, common: Readonly<Record<string, string>>, reader: Reader, hasBus: boolean) {
    this.#common = common
    for (const figure of Object.values<Figure>(figures)) {
      // Without labels it cannot be absent, and 0 would say that a broker is away.
      if (figure === figures.connectionUp && !hasBus) continue
      const base = {
        name: prometheusName(figure),
        help: figure.description,
        labelNames: [...figure.labels, ...Object.keys(common)],
        registers: [registry],
      }
      if (figure.kind === 'counter') this.#counters.set(figure, new Counter(base))
      else if (figure.kind === 'duration')
        this.#histograms.set(figure, new Histogram({ ...base, buckets: [...durationBuckets] }))
      else this.#gauge(figure, base, reader)
    }
  }

  add(figure: Figure, labels: Labels, count: number): void {
    this.#counters.get(figure)?.inc(this.#labelsOf(labels), count)
  }

  record(figure: Figure, labels: Labels, seconds: number): void {
    this.#histograms.get(figure)?.observe(this.#labelsOf(labels), seconds)
  }

  /** What is absent from a reading is absent from the metric: the last value would look like a true one. */
  #gauge(figure: Figure, base: ConstructorParameters<typeof Gauge>[0], reader: Reader): void {
    const labelsOf = (labels: Labels) => this.#labelsOf(labels)
    new Gauge({
      ...base,
      async collect() {
        const readings = await reader.read()
        this.reset()
        for (const { figure: read, labels, value } of readings)
          if (read === figure) this.set(labelsOf(labels), value)
      },
    })
  }

  #labelsOf(labels: Labels): Readonly<Record<string, string>> {
    let all = this.#labels.get(labels)
    if (all === undefined) {
      all = { ...labels, ...this.#common }
      this.#labels.set(labels, all)
    }
    return all
  }
}
