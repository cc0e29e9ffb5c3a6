/** What is done to whole bodies, for the option `stages` of `connect`, `defineTopic` and `defineMessage`. */
export type { Size } from './lib/size.ts'
export type { IncomingBody, OutgoingBody, Stage, StagedBody } from './messages/stage.ts'
export type { ClaimStore } from './stages/claim-store.ts'
export type { Algorithm } from './stages/codings.ts'
export { type CompressOptions, compress, decompress } from './stages/compress.ts'
export { type EncryptOptions, encrypt } from './stages/encrypt.ts'
export type { CurrentKey, EncryptionKey, KeyProvider } from './stages/keys.ts'
