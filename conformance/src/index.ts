export type { Ability } from './abilities.ts'
export type { Case, Section } from './case.ts'
export { sections } from './cases/index.ts'
export type {
  BrokerControl,
  ChildConnection,
  Harness,
  Inspection,
  LoweredLimits,
  ProxiedConnection,
  ProxyControl,
  RawMessage,
} from './harness.ts'
export { createProxy, type TcpProxy, type TcpProxyOptions } from './proxy.ts'
export { type CaseResult, countOf, type Report, type Status, summaryLine } from './report.ts'
export { type RunOptions, runConformance } from './run-conformance.ts'
