import { consume } from '../steps/consume.ts'
import { fill } from '../steps/fill.ts'
import type { Work } from '../work.ts'

export const concurrentConsuming: Work = {
  letter: 'b',
  title: 'consuming a backlog at concurrency 100',
  ordered: false,
  metrics: [
    { name: 'rate', title: 'consumed', unit: 'messages/s', better: 'higher' },
    { name: 'cpu', title: 'CPU of a handled message', unit: 'µs', better: 'lower' },
  ],
  steps: [fill(({ messages }) => messages, { patient: false }), consume],
}
