// For the mutant that leaks: what a child process connects with.
import { memory } from '@waybill/core'
import { wrapAdapter } from '../../case/wrap-adapter.ts'

export const adapter = wrapAdapter(memory(), {
  connect(forward) {
    setInterval(() => undefined, 60_000)
    return forward()
  },
})
