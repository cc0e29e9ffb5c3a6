export type { Ability } from './case/abilities.ts'
export type { Case, Section } from './case/case.ts'
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
export { createProxy, type TcpProxy, type TcpProxyOptions } from './network/proxy.ts'
export { type CaseResult, countOf, type Report, type Status, summaryLine } from './suite/report.ts'
export { type RunOptions, runConformance } from './suite/run-conformance.ts'
