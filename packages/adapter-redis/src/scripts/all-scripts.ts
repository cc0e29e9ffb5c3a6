import { applyTopology } from './apply-topology.ts'
import { claim } from './claim.ts'
import { discard } from './discard.ts'
import { extend } from './extend.ts'
import { fetch } from './fetch.ts'
import { handOver } from './hand-over.ts'
import { holders } from './holders.ts'
import { leave } from './leave.ts'
import { moveDue } from './move-due.ts'
import { positions } from './positions.ts'
import { publish } from './publish.ts'
import { reclaim } from './reclaim.ts'
import { replay } from './replay.ts'
import type { Script } from './script.ts'
import { settle } from './settle.ts'
import { tidy } from './tidy.ts'

/** Loaded when a connection opens; one that is gone later is sent again whole. */
export const allScripts: readonly Script[] = [
  applyTopology,
  publish,
  moveDue,
  fetch,
  positions,
  reclaim,
  holders,
  settle,
  extend,
  leave,
  claim,
  handOver,
  tidy,
  replay,
  discard,
]
