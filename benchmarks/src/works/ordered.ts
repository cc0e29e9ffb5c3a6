import { consume } from '../steps/consume.ts'
import { fill } from '../steps/fill.ts'
import type { Work } from '../work.ts'

export const ordered: Work = {
  letter: 'g',
  title: 'consuming an ordered topic of 1,000 keys at concurrency 100',
  ordered: true,
  metrics: [{ name: 'rate', title: 'consumed in order', unit: 'messages/s', better: 'higher' }],
  steps: [fill(({ messages }) => messages, { patient: false }), consume],
}
