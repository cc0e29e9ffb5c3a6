import type { Database, Inbox, Marked, Once, Transaction } from '@waybill/database'

/**
 * The database of a process that kills itself at an instruction: at the n-th of those before each statement, after each
 * statement, before each commit and after it. Never, if it is 0.
 */
export function dyingDatabase(database: Database, dieAt: number): Pick<Inbox, 'once'> {
  const inbox = database.inbox()
  let instructions = 0
  const instruction = () => {
    instructions += 1
    if (instructions === dieAt) process.kill(process.pid, 'SIGKILL')
  }
  const dying = (transaction: Transaction): Transaction => ({
    async query(sql, parameters) {
      instruction()
      const rows = await transaction.query<never>(sql, parameters)
      instruction()
      return rows
    },
  })
  return {
    async once<Result>(
      context: Marked,
      work: (transaction: Transaction) => Promise<Result>,
    ): Promise<Once<Result>> {
      const once = await database.transaction(async (transaction): Promise<Once<Result>> => {
        const own = dying(transaction)
        if (!(await inbox.mark(own, context))) return { outcome: 'duplicate', result: undefined }
        const result = await work(own)
        instruction()
        return { outcome: 'ran', result }
      })
      instruction()
      return once
    },
  }
}
