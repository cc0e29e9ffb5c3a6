import { randomUUID } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import type { IdempotencyMark, IdempotencyState, IdempotencyStore } from '@waybill/core'
import { z } from 'zod'

const markSchema = z.object({ token: z.string(), done: z.number(), expiresAt: z.number() })

/**
 * A database that several processes share: the effects of handlers, and the idempotency marks beside them, so that a
 * handler can write both in one transaction. Processes are killed, the machine is not: so nothing waits for the disk, which
 * would hold up all of a process, its leases among them.
 */
export class EffectDatabase {
  readonly #database: DatabaseSync
  readonly store: IdempotencyStore = {
    begin: async (mark, leaseMs) => this.#begin(mark, leaseMs),
    extend: async (mark, token, leaseMs) => this.#update(mark, token, false, leaseMs),
    complete: async (mark, token, windowMs) => {
      this.#update(mark, token, true, windowMs)
    },
    abandon: async (mark, token) => {
      this.#database
        .prepare('DELETE FROM marks WHERE name = ? AND token = ? AND done = 0')
        .run(nameOf(mark), token)
    },
  }

  constructor(path: string) {
    this.#database = new DatabaseSync(path, { timeout: 5000 })
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = OFF;
      CREATE TABLE IF NOT EXISTS effects (id TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS marks (
        name TEXT PRIMARY KEY, token TEXT NOT NULL, done INTEGER NOT NULL, expiresAt INTEGER NOT NULL
      );
    `)
  }

  effect(id: string): void {
    this.#database.prepare('INSERT INTO effects (id) VALUES (?)').run(id)
  }

  /** The effect and the mark that it happened, in one transaction. */
  effectWithMark(mark: IdempotencyMark): void {
    this.#transaction(() => {
      this.effect(mark.id)
      this.#put(mark, randomUUID(), true, 3_600_000)
    })
  }

  effects(): string[] {
    const rows = this.#database.prepare('SELECT id FROM effects').all()
    return rows.map((row) => z.object({ id: z.string() }).parse(row).id)
  }

  close(): void {
    this.#database.close()
  }

  #begin(mark: IdempotencyMark, leaseMs: number): IdempotencyState {
    return this.#transaction(() => {
      const row = this.#database
        .prepare('SELECT token, done, expiresAt FROM marks WHERE name = ?')
        .get(nameOf(mark))
      const current = row === undefined ? undefined : markSchema.parse(row)
      const remainingMs = (current?.expiresAt ?? 0) - Date.now()
      if (current !== undefined && remainingMs > 0) {
        return current.done === 1 ? { state: 'done' } : { state: 'processing', remainingMs }
      }
      const token = randomUUID()
      this.#put(mark, token, false, leaseMs)
      return { state: 'started', token }
    })
  }

  #put(mark: IdempotencyMark, token: string, done: boolean, durationMs: number): void {
    this.#database
      .prepare('INSERT OR REPLACE INTO marks (name, token, done, expiresAt) VALUES (?, ?, ?, ?)')
      .run(nameOf(mark), token, done ? 1 : 0, Date.now() + Math.round(durationMs))
  }

  #update(mark: IdempotencyMark, token: string, done: boolean, durationMs: number): boolean {
    const { changes } = this.#database
      .prepare('UPDATE marks SET done = ?, expiresAt = ? WHERE name = ? AND token = ? AND done = 0')
      .run(done ? 1 : 0, Date.now() + Math.round(durationMs), nameOf(mark), token)
    return changes > 0
  }

  #transaction<Result>(run: () => Result): Result {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      const result = run()
      this.#database.exec('COMMIT')
      return result
    } catch (error) {
      this.#database.exec('ROLLBACK')
      throw error
    }
  }
}

function nameOf({ group, source, id }: IdempotencyMark): string {
  return JSON.stringify([group, source, id])
}
