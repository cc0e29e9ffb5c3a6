import { setTimeout as sleep } from 'node:timers/promises'
import type { Order } from './messages.ts'

export class CardDeclined extends Error {
  override readonly name = 'CardDeclined'
  /** Asking again will not help. */
  readonly final: boolean

  constructor(message: string, final = false) {
    super(message)
    this.final = final
  }
}

export interface Payment {
  readonly receipt: string
  readonly currency: Order['currency']
  readonly amount: number
}

/**
 * Stands in for a bank, with test cards: the last four digits decide what happens. Like a real one it takes its time,
 * and takes the order's id as idempotency key: asked twice, it charges once.
 */
export class Bank {
  /** What it charged, by order. */
  readonly payments = new Map<string, Payment>()
  readonly #requests = new Map<string, number>()
  #closedIssuer: string | undefined = 'Banco Aurora'

  /** The issuer that could not be reached is back. */
  endOutage(): void {
    this.#closedIssuer = undefined
  }

  async charge({ orderId, card, currency, total }: Order, signal: AbortSignal): Promise<Payment> {
    await sleep(10 + Math.random() * 30, undefined, { signal })
    const earlier = this.payments.get(orderId)
    if (earlier !== undefined) return earlier
    const requests = (this.#requests.get(orderId) ?? 0) + 1
    this.#requests.set(orderId, requests)
    if (card.issuer === this.#closedIssuer) throw new CardDeclined(`${card.issuer} cannot be reached`)
    if (card.last4 === '0119' && requests <= 1) throw new CardDeclined('the issuer is busy')
    if (card.last4 === '0259' && requests <= 2) throw new CardDeclined('the issuer is busy')
    if (card.last4 === '9995') throw new CardDeclined('insufficient funds')
    if (card.last4 === '9979') throw new CardDeclined('the card was reported stolen', true)
    const payment = {
      receipt: `R-${String(this.payments.size + 1).padStart(5, '0')}`,
      currency,
      amount: total,
    }
    this.payments.set(orderId, payment)
    return payment
  }
}
