import type { Dialect } from '../dialect.ts'

/** One step of the schema. Steps are never changed once they are published; a change is a new step. */
export interface MigrationStep {
  /** 1 for the first, one more for each. */
  readonly version: number
  readonly name: string
  /**
   * The lowest version of the code that works with the schema after this step. A step that only adds leaves it as it was, so
   * that processes of the version before keep running during a deploy.
   */
  readonly worksFrom: number
  statements(dialect: Dialect): readonly string[]
}

/** A step as plain SQL, for any tool. It records itself as applied. */
export interface Migration {
  readonly version: number
  readonly name: string
  readonly sql: string
}
