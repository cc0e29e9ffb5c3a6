export type { IncomingBody, OutgoingBody, Stage, StagedBody } from './encoding/stage.ts'
