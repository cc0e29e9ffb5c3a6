export type { BrokerProxy } from './broker-proxy.ts'
export { ensureEngine, stopEngine } from './engine.ts'
export type { BrokerName, ExecResult, RunningBroker } from './running-broker.ts'
export { type StartBrokerOptions, startBroker } from './start-broker.ts'
