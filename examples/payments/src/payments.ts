import { type Effects, handles, handlesOnce, type Service } from '@waybill/example-workers'
import { book, isBooked } from './ledger.ts'
import { PaymentCaptured, PaymentDeclined, PaymentRequested } from './messages.ts'
import type { Provider } from './provider.ts'

/**
 * Charges each payment once, and books it once, though the two are in different databases and the message may come as often as
 * it likes:
 *
 * - The payment's own id is the key of the request, so that a second one is answered like the first, and charges nothing.
 * - Books, mark and what is told to others are one transaction. If it does not commit, the message comes again and the provider
 *   is asked again.
 */
export function paymentServices(
  effects: Effects,
  provider: Provider,
  onReceipt: (paymentId: string) => Promise<unknown> = async () => {},
): readonly Service[] {
  const { database, inbox, outbox } = effects
  return [
    {
      group: 'payments',
      handlers: [
        handles(PaymentRequested, async ({ data: payment }, context) => {
          const { paymentId, cents } = payment
          // Not what keeps it from being booked twice: it only spares the provider a request.
          if (await isBooked(database, paymentId)) return
          const answer = await provider.charge(paymentId, payment)
          await inbox.once(context, async (transaction) => {
            if ('declined' in answer) {
              if (!(await book(transaction, payment, 'declined'))) return
              await outbox.send(transaction, PaymentDeclined, { paymentId, reason: answer.declined })
              return
            }
            if (!(await book(transaction, payment, 'captured'))) return
            await outbox.send(transaction, PaymentCaptured, { paymentId, cents, receipt: answer.receipt })
          })
        }),
      ],
    },
    {
      group: 'receipts',
      handlers: [handlesOnce(effects, PaymentCaptured, ({ data }) => onReceipt(data.paymentId))],
    },
  ]
}
