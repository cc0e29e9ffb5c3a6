/** The write model: decides by an account's own events, and appends what follows. */
import { type EventOf, type EventStore, eventOf, type NewEvent, StreamConflict } from '@waybill/database'
import { AccountOpened, accountEvents, MoneyDeposited, MoneyWithdrawn } from './events.ts'

interface Account {
  readonly isOpen: boolean
  readonly cents: number
}

export class Refused extends Error {
  override readonly name = 'Refused'
}

function after(account: Account, event: EventOf<(typeof accountEvents)[number]>): Account {
  switch (event.type) {
    case 'account.opened':
      return { ...account, isOpen: true }
    case 'money.deposited':
      return { ...account, cents: account.cents + event.data.cents }
    case 'money.withdrawn':
      return { ...account, cents: account.cents - event.data.cents }
  }
}

/**
 * Reads the account, decides, and appends, in one transaction. When somebody else was faster it reads again: what was decided
 * by an old state never counts.
 */
async function decide(
  store: EventStore,
  account: string,
  decision: (state: Account) => readonly NewEvent[],
): Promise<void> {
  const stream = `account-${account}`
  for (;;) {
    try {
      await store.database.transaction(async (transaction) => {
        const history = await store.readStream(transaction, stream, accountEvents)
        const state = history.reduce(after, { isOpen: false, cents: 0 })
        await store.append(transaction, stream, decision(state), { expected: history.length })
      })
      return
    } catch (error) {
      if (!(error instanceof StreamConflict)) throw error
    }
  }
}

/** @throws {Refused} when there is such an account. */
export async function open(store: EventStore, account: string, owner: string): Promise<void> {
  await decide(store, account, ({ isOpen }) => {
    if (isOpen) throw new Refused(`There is an account ${account}`)
    return [eventOf(AccountOpened, { account, owner })]
  })
}

/** @throws {Refused} when there is no such account. */
export async function deposit(store: EventStore, account: string, cents: number): Promise<void> {
  await decide(store, account, ({ isOpen }) => {
    if (!isOpen) throw new Refused(`There is no account ${account}`)
    return [eventOf(MoneyDeposited, { account, cents })]
  })
}

/** @throws {Refused} when there is no such account, or too little on it. */
export async function withdraw(store: EventStore, account: string, cents: number): Promise<void> {
  await decide(store, account, (state) => {
    if (!state.isOpen) throw new Refused(`There is no account ${account}`)
    if (state.cents < cents)
      throw new Refused(`There are ${state.cents} cents on account ${account}, not ${cents}`)
    return [eventOf(MoneyWithdrawn, { account, cents })]
  })
}
