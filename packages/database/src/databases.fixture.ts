import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { postgres } from '@waybill/postgres'
import { sqlite } from '@waybill/sqlite'
import { afterAll, beforeAll } from 'vitest'
import type { Database } from './database.ts'

export interface TestDatabase {
  readonly name: 'PGlite' | 'SQLite'
  /** A database without tables; with the same name, the same one over another object. */
  open(name?: string): Database
  /** One with tables. */
  ready(): Promise<Database>
}

let count = 0
const nextName = () => {
  count += 1
  return `test_${count}`
}

// One for all files, since it takes a second to start; it ends with the process.
let pglite: PGlite | undefined

/** The embedded databases that every test of this package runs on. They end after the file's tests. */
export function databases(): readonly TestDatabase[] {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-sqlite-'))
  const opened: Database[] = []
  beforeAll(async () => {
    pglite ??= new PGlite()
    await pglite.waitReady
  }, 120_000)
  afterAll(async () => {
    await Promise.all(opened.map((database) => database.close()))
    rmSync(folder, { recursive: true })
  })
  const testDatabase = (name: TestDatabase['name'], make: (id: string) => Database): TestDatabase => {
    const open = (id = nextName()) => {
      const database = make(id)
      opened.push(database)
      return database
    }
    return {
      name,
      open,
      async ready() {
        const database = open()
        await database.migrate()
        return database
      },
    }
  }
  return [
    testDatabase('PGlite', (schema) => {
      pglite ??= new PGlite()
      return postgres({ pglite, schema })
    }),
    testDatabase('SQLite', (id) => sqlite({ path: join(folder, `${id}.db`) })),
  ]
}
