export type { IncomingBody, OutgoingBody, Stage, StagedBody } from './messages/stage.ts'
