/** What can happen to an account. The events are messages, too: others may listen to them. */
import { defineMessage, defineTopic } from '@waybill/core'
import { z } from 'zod'

export const accounts = defineTopic('accounts', { groups: ['notifications'] })

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
