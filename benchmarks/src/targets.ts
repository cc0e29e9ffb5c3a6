import { type Broker, brokers } from './contender.ts'
import { peers } from './load-contender.ts'

/** The median of a contender's reading; NaN where there is none. */
export type Read = (contender: string, metric: string, letter?: string) => number

/** Waybill's reading as a share of another's: the median of the ratios within each round, which the table shows too. */
export type RatioTo = (other: string) => number

/** What Waybill is to reach. */
export interface Target {
  readonly brokers: readonly Broker[]
  readonly letter: string
  readonly metric: string
  readonly text: string
  /** How far it is above (met) or below (missed). NaN when the run cannot tell. */
  readonly margin: (read: Read, ratioTo: RatioTo) => number
}

function atLeast(broker: Broker, letter: string, factor: number, other: string): Target {
  return {
    brokers: [broker],
    letter,
    metric: 'rate',
    text: `≥ ${factor} × ${other}`,
    margin: (_, ratioTo) => ratioTo(other) - factor,
  }
}

const aheadOfPeers = brokers.flatMap((broker) =>
  ['a', 'b'].map((letter): Target => {
    const best = (read: Read) =>
      Math.max(...(peers[broker] ?? []).map((peer) => read(peer, 'rate')).filter((rate) => rate > 0))
    return {
      brokers: [broker],
      letter,
      metric: 'rate',
      text: 'ahead of every library',
      margin: (read) => (Number.isFinite(best(read)) ? read('waybill', 'rate') - best(read) : Number.NaN),
    }
  }),
)

const latencies = ['p50', 'p99'].map(
  (metric): Target => ({
    brokers,
    letter: 'd',
    metric,
    text: '≤ plain + 1 ms',
    margin: (read) => read('plain', metric) + 1 - read('waybill', metric),
  }),
)

export const targets: readonly Target[] = [
  atLeast('rabbitmq', 'a', 1, 'plain'),
  atLeast('kafka', 'a', 4, 'plain'),
  atLeast('kafka', 'a', 20, 'plain-idempotent'),
  atLeast('kafka', 'a', 0.85, 'tuned'),
  atLeast('redis', 'a', 1, 'plain'),
  atLeast('redis', 'a', 1, 'tuned'),
  atLeast('sqs', 'a', 4, 'plain'),
  atLeast('sqs', 'a', 0.9, 'tuned'),
  atLeast('rabbitmq', 'b', 1.6, 'plain'),
  atLeast('rabbitmq', 'b', 0.85, 'tuned'),
  atLeast('redis', 'b', 1.5, 'plain'),
  atLeast('redis', 'b', 0.85, 'tuned'),
  atLeast('kafka', 'b', 0.8, 'plain'),
  atLeast('sqs', 'b', 3, 'plain'),
  atLeast('sqs', 'b', 1, 'tuned'),
  ...aheadOfPeers,
  ...brokers.map((broker) => atLeast(broker, 'c', 0.95, 'plain')),
  ...latencies,
  {
    brokers: ['kafka'],
    letter: 'd',
    metric: 'p50',
    text: '≤ 2 ms',
    margin: (read) => 2 - read('waybill', 'p50'),
  },
  {
    brokers,
    letter: 'e',
    metric: 'lastRate',
    text: '≥ 0.9 × first tenth',
    margin: (read) => read('waybill', 'lastRate') / read('waybill', 'firstRate') - 0.9,
  },
  {
    brokers,
    letter: 'e',
    metric: 'peakMemory',
    text: '< 250 MiB',
    margin: (read) => 250 - read('waybill', 'peakMemory'),
  },
  {
    brokers,
    letter: 'g',
    metric: 'rate',
    text: '≥ 0.7 × (b)',
    margin: (read) => read('waybill', 'rate') / read('waybill', 'rate', 'b') - 0.7,
  },
  {
    brokers,
    letter: 'h',
    metric: 'import',
    text: '≤ 60 ms',
    margin: (read) => 60 - read('waybill', 'import'),
  },
]
