import { MessagingError } from '@waybill/core/driver'
import type { PgliteClient, PostgresPool } from './clients.ts'

/** A client that is made when it is first used. */
export interface OwnClient<Client> {
  get(): Promise<Client>
  end(): Promise<void>
}

/** A failure to make it is not remembered: what is missing may be put right. */
function lazily<Client>(
  make: () => Promise<Client>,
  end: (client: Client) => Promise<void>,
): OwnClient<Client> {
  let made: Promise<Client> | undefined
  return {
    get() {
      made ??= make().catch((error: unknown) => {
        made = undefined
        throw error
      })
      return made
    },
    async end() {
      const client = await made?.catch(() => undefined)
      if (client !== undefined) await end(client)
    },
  }
}

export function ownPool(url: string): OwnClient<PostgresPool> {
  return lazily(
    async () => {
      const { default: pg } = await import('pg').catch(missing('pg'))
      // Without probes a connection whose server is gone without a word may be waited for without end.
      const pool = new pg.Pool({ connectionString: url, connectionTimeoutMillis: 10_000, keepAlive: true })
      // An idle connection that breaks is replaced when it is needed; without a listener it would end the process.
      pool.on('error', () => {})
      return pool
    },
    (pool) => pool.end(),
  )
}

export function ownPglite(folder: string): OwnClient<PgliteClient> {
  return lazily(
    async () => {
      const name = '@electric-sql/pglite'
      const { PGlite } = await import('@electric-sql/pglite').catch(missing(name))
      return await PGlite.create(folder === '' ? 'memory://' : folder)
    },
    (client) => client.close(),
  )
}

/** Called right behind each import: bundlers then take it as one that need not be there. */
function missing(name: string): (error: unknown) => never {
  return (cause) => {
    throw new MessagingError(
      'adapter-missing',
      `The URL needs the package ${name}, which could not be loaded. Run npm install ${name}`,
      { cause },
    )
  }
}
