import type { Connection } from './connection.ts'
import type { Database } from './database.ts'
import { Host } from './host.ts'
import { makeIdempotencyStore } from './idempotency/idempotency-store.ts'
import { Inbox } from './inbox/inbox.ts'
import { Cleaner } from './marks/cleaner.ts'
import { migrate } from './migrations/migrate.ts'
import { plainMigrations } from './migrations/plain-sql.ts'
import { Outbox } from './outbox.ts'
import { Listener } from './relay/listener.ts'

/** A database over a connection: what is the same for all of them. For packages of a database, not for applications. */
export function makeDatabase(connection: Connection): Database {
  const host = new Host(connection)
  const cleaner = new Cleaner(host)
  const { dialect } = connection
  return {
    dialect,
    query: (sql, parameters) => connection.query(sql, parameters),
    transaction: (work) => host.transaction(work),
    migrate: () => migrate(dialect, host),
    migrations: () => plainMigrations(dialect),
    inbox: (options) => new Inbox(host, cleaner, options),
    outbox: (options) => new Outbox(host, options),
    idempotencyStore: (options) => makeIdempotencyStore(host, cleaner, options),
    onNotification: (listener) => listen(host, listener),
    on: (name, listener) => host.events.on(name, listener),
    off: (name, listener) => host.events.off(name, listener),
    close: () => host.close(),
    [Symbol.asyncDispose]: () => host.close(),
  }
}

function listen(host: Host, listener: () => void): () => void {
  const over = new AbortController()
  const ended = new Listener(host, host.events, listener).run(over.signal)
  const forget = host.beforeClose(async () => {
    over.abort()
    await ended
  })
  return () => {
    forget()
    over.abort()
  }
}
