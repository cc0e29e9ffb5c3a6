import type { Section } from '../../case/case.ts'
import { prometheusCases } from './prometheus-cases.ts'
import type { TelemetryServers } from './servers.ts'
import { traceCase } from './trace-case.ts'

export function telemetrySections(servers: TelemetryServers): readonly Section[] {
  return [
    { title: 'OpenTelemetry', cases: [traceCase(servers)] },
    { title: 'Prometheus', cases: prometheusCases(servers) },
  ]
}
