import { consuming } from './consuming.ts'
import { deadLettering } from './dead-lettering.ts'
import { lifecycle } from './lifecycle.ts'
import type { Mutant } from './mutant.ts'
import { patterns } from './patterns.ts'
import { receiving } from './receiving.ts'
import { sending } from './sending.ts'
import { settling } from './settling.ts'

export const mutants: readonly Mutant[] = [
  ...sending,
  ...receiving,
  ...settling,
  ...deadLettering,
  ...consuming,
  ...patterns,
  ...lifecycle,
]
