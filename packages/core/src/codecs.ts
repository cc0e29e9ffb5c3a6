export type {
  Codec,
  DecodedMessage,
  EncodedMessage,
  UnwrappedMessage,
  WireMessage,
} from './encoding/codec.ts'
