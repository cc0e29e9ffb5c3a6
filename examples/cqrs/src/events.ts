/** What can happen to an account. The events are messages, too: others may listen to them. */
import { defineMessage, defineTopic } from '@waybill/core'
import { z } from 'zod'

// Each run has a topic of its own, so that on a broker that keeps things a second run does not meet the first one's.
export const run = `cqrs-${Date.now().toString(36)}`

export const accounts = defineTopic(`${run}.accounts`, { groups: ['statements'] })

const account = z.string().min(1)
const cents = z.int().positive()
const key = (data: { readonly account: string }) => data.account

export const AccountOpened = defineMessage(accounts, 'account.opened', {
  schema: z.object({ account, owner: z.string().min(1) }),
  key,
})
export const MoneyDeposited = defineMessage(accounts, 'money.deposited', {
  schema: z.object({ account, cents }),
  key,
})
export const MoneyWithdrawn = defineMessage(accounts, 'money.withdrawn', {
  schema: z.object({ account, cents }),
  key,
})

export const accountEvents = [AccountOpened, MoneyDeposited, MoneyWithdrawn] as const
