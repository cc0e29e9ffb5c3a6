import { count } from '../steps/count.ts'
import { send } from '../steps/send.ts'
import type { Work } from '../work.ts'

export const concurrentSends: Work = {
  letter: 'a',
  title: '256 concurrent callers, each sending single events',
  ordered: false,
  metrics: [
    { name: 'rate', title: 'sends', unit: 'messages/s', better: 'higher' },
    { name: 'cpu', title: 'CPU of a send', unit: 'µs', better: 'lower' },
  ],
  steps: [send(256), count],
}
