import { type Connection, type Dialect, type Queries, runWork } from '@waybill/database/dialects'

/** A connection by another library, given as an object with two methods. It is never closed. */
export function givenConnection(dialect: Dialect, queries: Queries): Connection {
  const explained = async <Result>(result: Promise<Result>): Promise<Result> => {
    try {
      return await result
    } catch (error) {
      throw dialect.explain(error) ?? error
    }
  }
  return {
    dialect,
    query: (sql, parameters) => explained(queries.query(sql, parameters)),
    transaction: (work) =>
      explained(
        queries.transaction((transaction) =>
          runWork(dialect, (sql, parameters) => transaction.query(sql, parameters), work),
        ),
      ),
    close: async () => {},
  }
}
