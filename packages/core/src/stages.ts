/** What is done to whole bodies, for the option `stages` of `connect`, `defineTopic` and `defineMessage`. */
export type { Size } from './lib/size.ts'
export type { IncomingBody, OutgoingBody, Stage, StagedBody } from './messages/stage.ts'
export type { ClaimStore } from './stages/claim-store.ts'
