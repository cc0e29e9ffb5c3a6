import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Order } from '../messages.ts'
import type { Staff } from './staff.ts'

// So many a second, so that the shop moves while it is busy.
const pauseMs = 20

/** Customers who come one after the other, to whichever till is open, until the shop closes. */
export class Customers {
  readonly accepted = new Map<string, Order>()
  readonly #requests: readonly string[]
  readonly #answers: Promise<void>[] = []
  #till: Staff
  #isClosed = false
  #waiting = Promise.resolve()
  #letIn: (() => void) | undefined
  readonly #serving: Promise<void>

  private constructor(requests: readonly string[], till: Staff) {
    this.#requests = requests
    this.#till = till
    this.#serving = this.#serve()
    this.#serving.catch(() => {})
  }

  static async open(ordersFile: string, till: Staff): Promise<Customers> {
    const lines = (await readFile(ordersFile, 'utf8')).split('\n').filter((line) => line.trim() !== '')
    return new Customers(lines, till)
  }

  /** The till closes; who comes now waits for the next one. Resolves when everybody there has an answer. */
  async closeTill(): Promise<void> {
    this.#waiting = new Promise((resolve) => {
      this.#letIn = resolve
    })
    await Promise.all(this.#answers.splice(0))
  }

  openTill(till: Staff): void {
    this.#till = till
    this.#letIn?.()
  }

  /** Nobody comes any more. Resolves when everybody has an answer. */
  async goHome(): Promise<void> {
    this.#isClosed = true
    await this.#serving
  }

  async #serve(): Promise<void> {
    for (let visit = 1; ; visit += 1) {
      for (const [index, request] of this.#requests.entries()) {
        await this.#waiting
        if (this.#isClosed) return void (await Promise.all(this.#answers))
        this.#answers.push(this.#place(index + 1, visit === 1 ? request : again(request, visit)))
        await sleep(pauseMs)
      }
    }
  }

  async #place(line: number, request: string): Promise<void> {
    const { order } = await this.#till.ask({ kind: 'place', line, request })
    if (order !== undefined) this.accepted.set(order.orderId, order)
  }
}

/** The same order once more, under an id of its own. */
function again(request: string, visit: number): string {
  return request.replace(/"orderId":"([^"]*)"/, `"orderId":"$1-${visit}"`)
}
