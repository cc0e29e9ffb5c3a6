import type { BrokerDefinition } from './definition.ts'

const configuration = `
global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: [/etc/prometheus/alerts.yml]
scrape_configs:
  - job_name: waybill
    file_sd_configs: [{ files: [/prometheus/targets/*.json], refresh_interval: 1s }]
`

/** No broker, but started like one: Prometheus, with promtool. */
export const prometheus: BrokerDefinition = {
  recipe: 'prometheus',
  officialImage: 'prom/prometheus:v2.53.3',
  imageVariable: 'WAYBILL_PROMETHEUS_IMAGE',
  urlVariable: 'WAYBILL_PROMETHEUS_URL',
  proxyListeners: 0,
  defaultPort: 9090,
  url: (host, port) => `http://${host}:${port}`,
  plan: ({ port }) => ({
    ports: [{ container: 9090, host: port }],
    files: [{ target: '/etc/prometheus/prometheus.yml', content: configuration }],
  }),
  async probe(host, port) {
    const answer = await fetch(`http://${host}:${port}/-/ready`)
    if (!answer.ok) throw new Error(`Prometheus answered ${answer.status}`)
  },
}
