import { consume } from '../steps/consume.ts'
import { fill } from '../steps/fill.ts'
import type { Work } from '../work.ts'

export const backlog: Work = {
  letter: 'e',
  title: 'a deep backlog (1,000,000 unless told otherwise)',
  ordered: false,
  metrics: [
    { name: 'firstRate', title: 'first tenth', unit: 'messages/s', better: 'higher' },
    { name: 'lastRate', title: 'last tenth', unit: 'messages/s', better: 'higher' },
    { name: 'peakMemory', title: 'peak memory', unit: 'MiB', better: 'lower' },
  ],
  steps: [fill((scale) => scale.backlog, { patient: true }), consume],
}
