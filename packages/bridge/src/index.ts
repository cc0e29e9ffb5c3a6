export type { Bridge } from './bridge.ts'
export type { BridgeStats } from './counts.ts'
export { openBridge } from './open-bridge.ts'
export type {
  BridgeCloseOptions,
  BridgeEnd,
  BridgeEvent,
  BridgeListeners,
  BridgeOptions,
  DrainedOptions,
} from './options.ts'
