import { connect } from '@waybill/core'
import { type Database, EventStore, Projection } from '@waybill/database'
import { until } from '@waybill/example-workers'
import { deposit, open, Refused, withdraw } from './account.ts'
import { accounts } from './events.ts'
import { balances, makeReadModels, readBalances, readTurnover, turnover } from './read-models.ts'
import { makeStatements, readStatements, startStatements } from './statements.ts'

export interface BankOptions {
  readonly accounts: number
  /** Of each of the clerks, who work at once. */
  readonly movements: number
  readonly clerks: number
  /** Where the events travel to others. Default: `memory:`. */
  readonly url?: string
}

export interface BankReport {
  readonly events: number
  readonly refused: number
  /** What does not add up; empty if all does. */
  readonly problems: readonly string[]
}

/**
 * Clerks move money while both read models are built anew from the first event, and others are told by messages. All of them
 * have to agree with the clerks.
 */
export async function runBank(database: Database, options: BankOptions): Promise<BankReport> {
  await database.migrate()
  await database.transaction(makeReadModels)
  await database.transaction(makeStatements)
  const outbox = database.outbox({ source: 'bank' })
  await using bus = await connect({
    url: options.url ?? 'memory:',
    topics: [accounts],
    timeout: '1m',
    console: false,
  })
  await startStatements(bus, database)
  await using relay = outbox.relay(bus, { pollInterval: '50ms' })
  await relay.start()
  const store = new EventStore(database, { outbox })
  const names = Array.from({ length: options.accounts }, (_, index) => `a-${index + 1}`)
  for (const name of names) await open(store, name, `Owner of ${name}`)
  const projections = [balances, turnover].map((each) => new Projection(store, each, { batch: 20, poll: 5 }))
  for (const projection of projections) projection.start()

  const held = new Map(names.map((name) => [name, 0]))
  let refused = 0
  const clerk = async (number: number) => {
    for (let movement = 0; movement < options.movements; movement += 1) {
      const name = names[(number + movement) % names.length] ?? ''
      const cents = 1 + ((number * 7 + movement * 13) % 97)
      const isDeposit = movement % 3 !== 2
      try {
        await (isDeposit ? deposit : withdraw)(store, name, cents)
        held.set(name, (held.get(name) ?? 0) + (isDeposit ? cents : -cents))
      } catch (error) {
        if (!(error instanceof Refused)) throw error
        refused += 1
      }
    }
  }
  const clerks = Promise.all(Array.from({ length: options.clerks }, (_, number) => clerk(number)))
  for (const projection of projections) await projection.rebuild()
  await clerks
  for (const projection of projections) {
    await projection.stop()
    await projection.catchUp()
  }
  const total = [...held.values()].reduce((sum, cents) => sum + cents, 0)
  const stated = async () =>
    [...(await readStatements(database)).values()].reduce((sum, cents) => sum + cents, 0)
  await until(
    async () => (await relay.stats()).waiting === 0 && (await stated()) === total,
    async () => `${await stated()} of ${total} cents stated`,
  )
  return {
    events: (await store.readAll(database, { limit: 10_000 })).length,
    refused,
    problems: await audit(database, held),
  }
}

async function audit(database: Database, held: ReadonlyMap<string, number>): Promise<readonly string[]> {
  const problems: string[] = []
  const expect = (what: string, actual: number, expected: number) => {
    if (actual !== expected) problems.push(`${what}: ${actual} instead of ${expected}`)
  }
  const models = await readBalances(database)
  expect('accounts', models.length, held.size)
  for (const { account, cents } of models)
    expect(`cents of ${account}`, Number(cents), held.get(account) ?? 0)
  for (const [account, cents] of await readStatements(database))
    expect(`cents of ${account} in its statement`, cents, held.get(account) ?? 0)
  const [deposited, withdrawn] = await readTurnover(database)
  const total = [...held.values()].reduce((sum, cents) => sum + cents, 0)
  expect('cents turned over', Number(deposited?.cents ?? 0) - Number(withdrawn?.cents ?? 0), total)
  return problems
}
