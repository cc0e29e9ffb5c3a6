export { type CloudEventsOptions, cloudEvents } from './codecs/cloud-events.ts'
export { type EventBridgeOptions, eventBridge } from './codecs/event-bridge.ts'
export { type JsonOptions, json } from './codecs/json.ts'
export { type MassTransitOptions, massTransit } from './codecs/mass-transit.ts'
export { type NestEventsOptions, nestEvents } from './codecs/nest-events.ts'
export type { Place, Places } from './codecs/places.ts'
export { type S3EventsOptions, s3Events } from './codecs/s3-events.ts'
export { snsNotification } from './codecs/sns-notification.ts'
export type {
  Codec,
  DecodedMessage,
  EncodedMessage,
  UnwrappedMessage,
  WireMessage,
} from './messages/codec.ts'
