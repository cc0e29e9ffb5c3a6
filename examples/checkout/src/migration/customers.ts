import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Order } from '../messages.ts'
import type { Staff } from './staff.ts'

// So many a second, so that the shop moves while it is busy.
const pauseMs = 20

/** Customers who come one after the other, to whichever till is open. */
export class Customers {
  readonly accepted = new Map<string, Order>()
  readonly #requests: readonly string[]
  readonly #answers: Promise<void>[] = []
  #till: Staff
  #served = 0
  #waiting = Promise.resolve()
  #letIn: (() => void) | undefined
  readonly allServed: Promise<void>

  private constructor(requests: readonly string[], till: Staff) {
    this.#requests = requests
    this.#till = till
    this.allServed = this.#serve()
    this.allServed.catch(() => {})
  }

  static async open(ordersFile: string, till: Staff): Promise<Customers> {
    const lines = (await readFile(ordersFile, 'utf8')).split('\n').filter((line) => line.trim() !== '')
    return new Customers(lines, till)
  }

  get served(): number {
    return this.#served
  }

  /** Resolves once this part of them has been served. */
  async until(share: number): Promise<void> {
    while (this.#served < share * this.#requests.length) await sleep(pauseMs)
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

  async #serve(): Promise<void> {
    for (const [index, request] of this.#requests.entries()) {
      await this.#waiting
      this.#answers.push(this.#place(index + 1, request))
      this.#served += 1
      await sleep(pauseMs)
    }
    await Promise.all(this.#answers)
  }

  async #place(line: number, request: string): Promise<void> {
    const { order } = await this.#till.ask({ kind: 'place', line, request })
    if (order !== undefined) this.accepted.set(order.orderId, order)
  }
}
