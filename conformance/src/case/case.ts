import type { Feature } from '@waybill/core/driver'
import type { Ability } from './abilities.ts'
import type { CaseContext } from './case-context.ts'

/** One behaviour of the contract, as data. */
export interface Case {
  /** In the contract. Several cases may share it: `52a`, `52b`. */
  readonly number: number
  /** Sets apart the cases of one number: `a`. Default: none. */
  readonly part?: string
  /** A sentence about behaviour. */
  readonly title: string
  /** Without one of these the case is replaced by the probe that asks for it and must see `unsupported`. */
  readonly requires?: readonly Feature[]
  /** Without one of these the case is skipped. */
  readonly needs?: readonly Ability[]
  /** Runs before the others, by itself: it restarts the broker, or measures what others would disturb. */
  readonly alone?: boolean
  /** On a broker of `timeScale` 1. Default: 60 s. */
  readonly timeoutMs?: number
  /** Rejects when the behaviour is not there. */
  run(context: CaseContext): Promise<void>
}

/** The cases of one heading of the contract. */
export interface Section {
  readonly title: string
  readonly cases: readonly Case[]
}

/** How reports and `--only` name a case: `52a`. */
export function caseId({ number, part = '' }: Pick<Case, 'number' | 'part'>): string {
  return `${number}${part}`
}
