import type { BrokerDefinition } from './definition.ts'

// Everything it receives goes to its standard output, a line of OTLP's JSON each.
const configuration = `
receivers:
  otlp:
    protocols:
      http: { endpoint: '0.0.0.0:4318' }
exporters:
  file: { path: /dev/stdout }
service:
  telemetry:
    metrics: { level: none }
    logs: { level: error }
  pipelines:
    traces: { receivers: [otlp], exporters: [file] }
    metrics: { receivers: [otlp], exporters: [file] }
`

/** No broker, but started like one: the OpenTelemetry Collector. */
export const otelcol: BrokerDefinition = {
  recipe: 'otelcol',
  officialImage: 'otel/opentelemetry-collector-contrib:0.161.0',
  imageVariable: 'WAYBILL_OTELCOL_IMAGE',
  urlVariable: 'WAYBILL_OTELCOL_URL',
  proxyListeners: 0,
  defaultPort: 4318,
  url: (host, port) => `http://${host}:${port}`,
  plan: ({ port }) => ({
    ports: [{ container: 4318, host: port }],
    files: [{ target: '/etc/otelcol-contrib/config.yaml', content: configuration }],
  }),
  async probe(host, port) {
    // An empty export.
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`http://${host}:${port}/v1/traces`, { method: 'POST', headers, body: '{}' })
    if (!answer.ok) throw new Error(`the collector answered ${answer.status}`)
  },
}
