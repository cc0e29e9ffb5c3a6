export type {
  Codec,
  DecodedMessage,
  EncodedMessage,
  UnwrappedMessage,
  WireMessage,
} from './messages/codec.ts'
