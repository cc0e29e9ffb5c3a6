import { count } from '../steps/count.ts'
import { send } from '../steps/send.ts'
import type { Work } from '../work.ts'

export const sequentialSends: Work = {
  letter: 'c',
  title: 'one caller, each send awaited',
  ordered: false,
  metrics: [{ name: 'rate', title: 'sends one by one', unit: 'messages/s', better: 'higher' }],
  steps: [send(1), count],
}
